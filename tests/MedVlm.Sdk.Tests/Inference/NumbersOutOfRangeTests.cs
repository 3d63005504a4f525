using MedVlm.Checkpoints;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Inference;

/// <summary>A model that computes nonsense says so: its arg-max is a token like any other.</summary>
public sealed class NumbersOutOfRangeTests
{
    [Theory]
    [InlineData(0x7FC0), InlineData(0x7F80)]   // not a number, infinity
    public async Task Numbers_that_are_none_fail_the_caption(int bf16)
    {
        using var folder = new TemporaryFolder();
        foreach (var file in Directory.EnumerateFiles(TestFolders.TinyModel))
            folder.Write(Path.GetFileName(file), File.ReadAllBytes(file));
        Set(folder.File("model.safetensors"), "model.text_model.norm.weight", bf16);
        await using var captioner = await MedicalCaptioner.LoadAsync(folder.Path, TestContext.Current.CancellationToken);

        var error = await Assert.ThrowsAsync<MedVlmException>(() => captioner.CaptionAsync(
            MedicalImage.FromFile(Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg")), cancellationToken: TestContext.Current.CancellationToken));

        Assert.Equal(
            "The model's numbers became infinite or undefined at token 1 of a caption. The weights are damaged, or, on a GPU, its activations go beyond the range of "
            + "FP16: then set Device to \"cpu\", which computes in FP32.", error.Message);
    }

    static void Set(string path, string tensor, int bf16)
    {
        long offset, length;
        using (var file = SafetensorsFile.Open(path))
            (offset, length) = (file.Tensors[tensor].Offset, file.Tensors[tensor].Length);
        using var stream = File.OpenWrite(path);
        stream.Position = offset;
        for (long i = 0; i < length; i += 2)
            stream.Write([(byte)bf16, (byte)(bf16 >> 8)]);
    }
}
