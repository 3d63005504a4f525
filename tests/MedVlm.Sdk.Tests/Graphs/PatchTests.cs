using MedVlm.Graphs;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Tests.Graphs;

/// <summary>Patches of an image, held against the places that a convolution without padding visits.</summary>
public sealed class PatchTests
{
    [Theory]
    [InlineData(32, 4), InlineData(34, 4), InlineData(35, 4), InlineData(5, 5), InlineData(9, 5)]
    public void Patches_are_those_of_a_convolution(int side, int patch)
    {
        var pixels = Enumerable.Range(0, 2 * 3 * side * side).Select(i => (float)i).ToArray();
        int count = (side - patch) / patch + 1;   // torch.nn.Conv2d: what is left at the edges is left out
        var expected = new List<float>();
        for (int image = 0; image < 2; image++)
            for (int row = 0; row < count; row++)
                for (int column = 0; column < count; column++)
                    for (int channel = 0; channel < 3; channel++)
                        for (int y = 0; y < patch; y++)
                            for (int x = 0; x < patch; x++)
                                expected.Add(pixels[((image * 3 + channel) * side + row * patch + y) * side + column * patch + x]);

        var graph = new GraphBuilder("patches");
        graph.Output("patches", graph.Input("pixels", ElementType.Float32, "B", 3, side, side).Patches(side, patch), ElementType.Float32, "B", count * count, 3 * patch * patch);
        using var session = new InferenceSession(graph.ToBytes(_ => default));
        using var input = OrtValue.CreateTensorValueFromMemory(pixels, [2, 3, side, side]);
        using var outputs = session.Run(new RunOptions(), ["pixels"], [input], ["patches"]);

        Assert.Equal(expected, outputs[0].GetTensorDataAsSpan<float>().ToArray());
    }
}
