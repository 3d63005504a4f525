using NetVips;

namespace MedVlm.Imaging;

/// <summary>libvips, set up once for a process that decodes untrusted images.</summary>
internal static class LibVips
{
    // The native side calls it for as long as the process lives.
    static readonly Log.LogDelegate Ignore = (_, _, _) => { };

    static readonly Lazy<bool> Ready = new(() =>
    {
        if (!ModuleInitializer.VipsInitialized)
            throw new NativeRuntimeException(
                "libvips, which decodes images, cannot be loaded. Add the package NetVips.Native for this platform, or install libvips 8.18 or later.",
                ModuleInitializer.Exception);

        NetVips.NetVips.BlockUntrusted = true;   // loaders that libvips does not fuzz: SVG, PDF, ImageMagick, …
        Cache.Max = 0;                           // else the last operations keep their images alive
        Log.SetLogHandler("VIPS", Enums.LogLevelFlags.All, Ignore);   // warnings about files would go to the console
        return true;
    });

    /// <summary>Loads and sets up libvips at the first call; thread-safe.</summary>
    /// <remarks>The settings hold for the whole process, so for an application's own use of NetVips too.</remarks>
    /// <exception cref="NativeRuntimeException">There is no usable libvips.</exception>
    public static void Start() => _ = Ready.Value;
}
