using MedVlm.Checkpoints.Quantised;
using MedVlm.Devices;
using MedVlm.Inference;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Inference;

/// <summary>The sessions of quantised weights are made at the same time, and packed on all threads where the plan has room for it.</summary>
public sealed class SessionsTogetherTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("HuggingFaceTB/SmolVLM-500M-Instruct", true), InlineData("microsoft/llava-med-v1.5-mistral-7b", false)]
    public void All_is_packed_at_once_where_the_mapped_weights_fit_beside_the_packed_ones(string model, bool expected)
    {
        // 15.5 GiB: of LLaVA-Med's 8 GB in INT8, two copies do not fit.
        var plan = MemoryPlanner.Plan(model, isLocal: false, KnownModels.Find(model)!, ComputeDevice.Parse("RTX 5080 16GB"), new PlanRequest { Precision = Precision.Int8 });

        Assert.Equal(expected, LoadedModel.HasRoomToPack(plan));
        Assert.True(LoadedModel.HasRoomToPack(null));
    }

    [Fact]
    public void Where_one_cannot_be_made_the_load_says_why_and_keeps_nothing_open()
    {
        using var folder = new TemporaryFolder();
        var cache = new QuantisedCache(folder.File("cache"));
        var settings = new RuntimeSettings
        {
            Precision = Precision.Int4, Cache = cache, SessionEntries = [new("session.gqa_value_layout", "upside down")],
        };

        var error = Assert.Throws<MedVlmException>(() => LoadedModel.Load(TestFolders.TinyModel, null, settings, Token));

        Assert.StartsWith("ONNX Runtime cannot load the ", error.Message, StringComparison.Ordinal);
        Assert.Contains("session.gqa_value_layout", error.Message, StringComparison.Ordinal);
        Assert.True(cache.Clear() > 0);
        Assert.Empty(Directory.GetFiles(cache.Folder));
        LoadedModel.Load(TestFolders.TinyModel, null, settings with { SessionEntries = [] }, Token).Dispose();
    }
}
