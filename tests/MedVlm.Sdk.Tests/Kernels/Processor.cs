using MedVlm.Kernels;

namespace MedVlm.Tests.Kernels;

internal static class Processor
{
    /// <summary>Skips a test of kernels that this processor has no instructions for.</summary>
    public static void Needed() => Assert.SkipUnless(CustomOperators.AreSupported, "This processor has no AVX2.");
}
