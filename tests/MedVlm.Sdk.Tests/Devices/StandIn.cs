using System.Diagnostics;

namespace MedVlm.Tests.Devices;

/// <summary>Libraries in the place of a driver's, which tests build from the C files beside this one.</summary>
internal static class StandIn
{
    /// <summary>Builds a library, or skips the test where there is no C compiler.</summary>
    /// <param name="source">Name of the C file.</param>
    /// <param name="library">The file to write.</param>
    /// <param name="define">A macro that the file looks at.</param>
    /// <returns>The file.</returns>
    public static string Build(string source, string library, string? define = null)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows brings no C compiler.");
        var file = Path.Combine(TestFolders.Repository, "tests", "MedVlm.Sdk.Tests", "Devices", source);
        try
        {
            using var compiler = Process.Start(new ProcessStartInfo(
                "cc", (string[])["-shared", "-fPIC", "-o", library, .. define is null ? (string[])[] : [$"-D{define}"], file]) { RedirectStandardError = true })!;
            var errors = compiler.StandardError.ReadToEnd();
            compiler.WaitForExit();
            Assert.True(compiler.ExitCode == 0, errors);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("There is no C compiler (cc) to build the stand-in library with.");
        }
        return library;
    }
}
