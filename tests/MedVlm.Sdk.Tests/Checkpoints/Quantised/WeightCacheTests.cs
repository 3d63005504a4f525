using MedVlm.Checkpoints.Quantised;
using MedVlm.Devices;
using MedVlm.Inference;

namespace MedVlm.Tests.Checkpoints.Quantised;

public sealed class WeightCacheTests
{
    [Theory, InlineData("Int8", false), InlineData("Int8", true), InlineData("Int4", true), InlineData("Fp16", true)]
    public void Lists_what_a_load_has_left_whatever_device_it_was_for(string name, bool gpu)
    {
        using var folder = new TemporaryFolder();
        var cache = new QuantisedCache(folder.Path);
        var precision = Enum.Parse<Precision>(name);
        var device = gpu ? ComputeDevice.Parse("RTX 5080 16GB") : CpuDetector.Detect();
        var options = new MedicalCaptionerOptions { Precision = precision }.UseTinyModel();
        LoadedModel.Load(
            TestFolders.TinyModel, null, checkpoint => ModelPlanner.SourceOf(options, checkpoint),
            new RuntimeSettings { Precision = precision, Cache = cache, EmulateCuda = true }, TestContext.Current.CancellationToken,
            (family, notes, tensors) => ModelPlanner.Plan(options, device, family, notes, tensors)).Dispose();

        var entry = Assert.Single(WeightCache.List(cache));
        Assert.Equal(precision, entry.Precision);
        Assert.Equal(TestFolders.TinyModel, entry.Model);
    }
}
