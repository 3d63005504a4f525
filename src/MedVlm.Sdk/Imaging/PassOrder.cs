namespace MedVlm.Imaging;

/// <summary>Which of the two passes of a resize runs first; the picture is rounded between them, so it shows in the result.</summary>
internal static class PassOrder
{
    /// <summary>Pillow 13.0.0 and later: vertical first where the height shrinks by more than twice what the width does.</summary>
    public static bool VerticalFirst(int width, int height, int newWidth, int newHeight)
    {
        long narrower = (long)width - newWidth, lower = (long)height - newHeight;   // negative where the side grows
        return lower > 0 && lower > 2 * narrower;
    }

    /// <summary>Pillow up to 12.3.0: vertical first only for strips more than a hundred times as high as wide.</summary>
    public static bool VerticalFirstPillow12(int width, int height, int newWidth, int newHeight) =>
        height > 100L * width && newHeight < height;
}
