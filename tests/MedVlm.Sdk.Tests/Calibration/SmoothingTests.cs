using System.Runtime.InteropServices;
using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Graphs;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Calibration;

/// <summary>Factors are taken where they help, and only there.</summary>
public sealed class SmoothingTests
{
    const int Outputs = 48, Inputs = 96, Rows = 32;

    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void Outlier_channels_are_smoothed_by_powers_of_two()
    {
        // Three channels of 96 that are a hundred times as large as the others, whose weights are as much smaller.
        var result = Choose(channel => channel is 3 or 40 or 95 ? 100 : 1);

        Assert.NotNull(result.Factors);
        Assert.All(result.Factors, factor => Assert.Equal(MathF.Round(MathF.Log2(factor)), MathF.Log2(factor)));
        Assert.True(result.Factors[3] >= 16 * result.Factors[4]);
        Assert.True(result.Int8Calibrated < 0.3 * result.Int8, $"{result}");
    }

    [Fact]
    public void Channels_alike_are_left_alone() => Assert.Null(Choose(_ => 1).Factors);

    [Fact]
    public void Where_nothing_can_be_changed_nothing_is()
    {
        var result = Choose(channel => channel == 3 ? 100 : 1, rowOf: null);

        Assert.Null(result.Factors);
        Assert.Equal(result.Int8, result.Int8Calibrated);
    }

    [Fact]
    public void Channels_that_one_row_makes_have_one_factor()
    {
        // Channels 3 and 51 are made by row 3, as two query heads share a value head; only one of them is large.
        var result = Choose(channel => channel == 3 ? 100 : 1, rowOf: [.. Enumerable.Range(0, Inputs).Select(channel => channel % (Inputs / 2))]);

        Assert.NotNull(result.Factors);
        Assert.Equal(result.Factors[..(Inputs / 2)], result.Factors[(Inputs / 2)..]);
    }

    [Fact]
    public void A_channel_that_is_always_zero_keeps_its_own() => Assert.Equal(1, Choose(channel => channel == 3 ? 100 : channel == 5 ? 0 : 1).Factors![5]);

    [Fact]
    public void Int4_weighs_its_errors_by_what_was_measured_where_that_helps()
    {
        // Without a norm before, INT4 takes all channels for alike.
        var result = Choose(channel => channel % 8 == 0 ? 6 : 1, weightsAlike: true);

        Assert.True(result.UsesMeanSquares);
        Assert.True(result.Int4Calibrated < 0.95 * result.Int4, $"{result}");
    }

    static SmoothingResult Choose(Func<int, float> size, bool weightsAlike = false) => Choose(size, [.. Enumerable.Range(0, Inputs)], weightsAlike);

    static SmoothingResult Choose(Func<int, float> size, int[]? rowOf, bool weightsAlike = false)
    {
        var random = new Random(1);
        float Normal() => MathF.Sqrt(-2 * MathF.Log(1 - random.NextSingle())) * MathF.Cos(2 * MathF.PI * random.NextSingle());
        float[][] RowsOf() => [.. Enumerable.Range(0, Rows).Select(_ => Enumerable.Range(0, Inputs).Select(channel => Normal() * size(channel)).ToArray())];
        float[] w = [.. Enumerable.Range(0, Outputs * Inputs).Select(i => Normal() / (weightsAlike || size(i % Inputs) == 0 ? 1 : size(i % Inputs)))];
        var (choosing, reporting) = (RowsOf(), RowsOf());
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("w.safetensors", SafetensorsBytes.OneTensor("w", "F32", [Outputs, Inputs], MemoryMarshal.AsBytes<float>(w).ToArray())));

        return Smoothing.Choose(
            [new QuantisedTensor("w", file.Tensors["w"], null, WeightPart.Float32, [Outputs, Inputs])],
            rowOf is null ? null : new ChannelSource(["norm.weight"], rowOf.Max() + 1, rowOf),
            [.. Enumerable.Range(0, Inputs).Select(channel => choosing.Max(row => MathF.Abs(row[channel])))], choosing, reporting,
            [.. Enumerable.Range(0, Inputs).Select(channel => choosing.Average(row => row[channel] * row[channel]))], Token);
    }
}
