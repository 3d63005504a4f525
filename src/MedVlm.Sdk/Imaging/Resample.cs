namespace MedVlm.Imaging;

/// <summary>The kernel of a resize, by Pillow's names.</summary>
internal enum Resample
{
    /// <summary>Triangle, support 1.</summary>
    Bilinear,

    /// <summary>Keys' cubic with a = -0.5, support 2.</summary>
    Bicubic,

    /// <summary>Lanczos with three lobes, support 3.</summary>
    Lanczos,
}
