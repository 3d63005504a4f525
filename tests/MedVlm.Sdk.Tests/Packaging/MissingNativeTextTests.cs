using System.Xml.Linq;
using MedVlm.Inference;

namespace MedVlm.Tests.Packaging;

public sealed class MissingNativeTextTests
{
    [Fact]
    public void The_build_warning_and_the_exception_say_the_same()
    {
        var targets = XDocument.Load(Path.Combine(TestFolders.Repository, "src", "MedVlm.Sdk", "buildTransitive", "MedVlm.Sdk.targets"));

        Assert.Equal(OnnxRuntimeEnvironment.MissingNative, targets.Descendants("_MedVlmMissingNativeRuntime").Single().Value);
    }
}
