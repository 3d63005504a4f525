using System.Text.Json;

namespace MedVlm.Tests.Captioners;

public sealed class CaptionerMetadataTests
{
    /// <summary>The content hash reads all weights: a line of a log must not.</summary>
    [Fact]
    public void Telling_it_reads_no_weights()
    {
        var metadata = new CaptionerMetadata("a model", Precision.Int8, "What?")
        {
            Device = "CPU", Runtime = "ONNX Runtime", Content = () => throw new CheckpointException("gone"),
        };

        Assert.Equal(
            "CaptionerMetadata { Model = a model, Precision = Int8, DefaultPrompt = What?, Notice = , Adapter = , Device = CPU, Runtime = ONNX Runtime }", $"{metadata}");
        Assert.DoesNotContain("ContentHash", JsonSerializer.Serialize(metadata), StringComparison.Ordinal);
        Assert.Throws<CheckpointException>(() => metadata.ContentHash);
    }
}
