using CsCheck;
using MedVlm.Benchmarks.Commands;
using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;

namespace MedVlm.Tests.Checkpoints.Quantised;

/// <summary>The numbers that quantisation gives, against plain arithmetic.</summary>
public sealed class QuantiserTests
{
    // Rows of any length, of ordinary weights, now and then with outliers, zeros, tiny or huge ones.
    static readonly Gen<float[]> s_rows =
        from scale in Gen.OneOf(Gen.Const(1f), Gen.Const(0.02f), Gen.Const(1e-20f), Gen.Const(1e-37f), Gen.Const(1e30f))
        from row in Gen.OneOf(Gen.Float[-1, 1], Gen.Float[-1, 1], Gen.Float[-0.05f, 0.05f], Gen.Const(0f)).Array[1, 200]
        select row.Select(value => value * scale).ToArray();

    [Fact]
    public void Int8_is_within_half_a_step_of_every_weight() => s_rows.Sample(row =>
    {
        var numbers = new sbyte[row.Length];
        float scale = Int8Quantiser.Quantise(row, numbers);

        Assert.Equal(row.Max(MathF.Abs) / 127, scale);
        for (int i = 0; i < row.Length; i++)
        {
            Assert.InRange(numbers[i], -127, 127);
            Assert.True(Math.Abs(row[i] - (double)numbers[i] * scale) <= 0.5001 * scale + float.Epsilon, $"{row[i]} became {numbers[i]} x {scale}");
        }
    });

    // FP16 has but few numbers below 6e-5, where the scales of small weights lie.
    static readonly Gen<float[]> s_smallRows =
        from exponent in Gen.Float[-7, 2]
        from row in Gen.Float[-1, 1].Array[1, 100]
        select row.Select(value => value * MathF.Pow(10, exponent)).ToArray();

    [Fact]
    public void Int8_with_a_scale_in_FP16_is_within_half_a_step_of_every_weight() => s_smallRows.Sample(row =>
    {
        var numbers = new sbyte[row.Length];
        float scale = Int8Quantiser.Quantise(row, numbers, halfScale: true);

        Assert.Equal(scale, (float)(Half)scale);
        Assert.InRange(scale, row.Max(MathF.Abs) / 127, row.Max(MathF.Abs) / 127 * 1.001f + 6e-8f);
        for (int i = 0; i < row.Length; i++)
            Assert.True(Math.Abs(row[i] - (double)numbers[i] * scale) <= 0.5001 * scale, $"{row[i]} became {numbers[i]} x {scale}");
    });

    [Fact]
    public void Int4_with_scales_in_FP16_is_chosen_for_them() => s_smallRows.Sample(row =>
    {
        int blocks = (row.Length + 31) / 32;
        var (values, scales, zeroPoints, back) = (new byte[blocks * 16], new float[blocks], new byte[(blocks + 1) / 2], new float[row.Length]);
        Assert.True(Int4Quantiser.Quantise(row, [], values, scales, zeroPoints, halfScales: true));
        Int4Quantiser.Dequantise(values, scales, zeroPoints, back);

        Assert.All(scales, scale => Assert.Equal(scale, (float)(Half)scale));

        // The nearest number to every weight that is in the range of its block.
        for (int i = 0; i < row.Length; i++)
        {
            double scale = scales[i / 32];
            int zeroPoint = zeroPoints[i / 64] >> (i / 32 % 2 * 4) & 15;
            if (row[i] >= -zeroPoint * scale && row[i] <= (15 - zeroPoint) * scale)
                Assert.True(Math.Abs(row[i] - (double)back[i]) <= 0.5001 * scale, $"{row[i]} became {back[i]} with steps of {scale}");
        }
    });

    [Fact]
    public void Fp16_is_the_nearest_number_and_never_infinite() => Gen.Float[-1e9f, 1e9f].Array[0, 100].Sample(row =>
    {
        row = [.. row.Select((value, i) => i % 2 == 0 ? value : value * 1e-9f)];
        var numbers = new Half[row.Length];
        Float16Numbers.Convert(row, numbers);

        for (int i = 0; i < row.Length; i++)
            Assert.Equal(Math.Abs(row[i]) >= 65504 ? (Half)(MathF.Sign(row[i]) * 65504f) : (Half)row[i], numbers[i]);
        Assert.Equal(row.Count(value => Math.Abs(value) > 65504), Float16Numbers.OutOfRange(row));
    });

    [Fact]
    public void Int4_is_never_worse_than_rounding_over_the_blocks_range() => s_rows.Sample(row =>
    {
        var back = Int4(row);
        var rounded = new float[row.Length];
        for (int first = 0; first < row.Length; first += 32)
        {
            var block = row.AsSpan(first, Math.Min(32, row.Length - first));
            QualityCommand.RoundOverRange(block, rounded.AsSpan(first));
            double searched = Error(block, back.AsSpan(first)), plain = Error(block, rounded.AsSpan(first));

            // The search compares sums in FP32: it is blind to what lies below their rounding.
            double rounding = block.ToArray().Max(MathF.Abs) * 2e-7 + 16 * float.Epsilon;
            Assert.True(searched <= plain * 1.0001 + 32 * rounding * rounding, $"{searched} > {plain}");
        }
    });

    [Fact]
    public void Int4_is_clearly_better_than_rounding_on_normal_weights()
    {
        var random = new Random(1);
        var row = Enumerable.Range(0, 32_000).Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(Math.Tau * random.NextDouble()))).ToArray();
        var rounded = new float[row.Length];
        for (int first = 0; first < row.Length; first += 32)
            QualityCommand.RoundOverRange(row.AsSpan(first, 32), rounded.AsSpan(first));

        // 0.902 measured.
        Assert.True(Error(row, Int4(row)) < 0.92 * Error(row, rounded), $"{Error(row, Int4(row))} against {Error(row, rounded)}");
    }

    [Fact]
    public void Int4_spends_its_steps_on_weights_of_large_inputs()
    {
        var random = new Random(2);
        var row = Enumerable.Range(0, 3_200).Select(_ => (float)random.NextDouble() - 0.5f).ToArray();
        var inputs = Enumerable.Range(0, row.Length).Select(_ => MathF.Exp(4 * (float)random.NextDouble())).ToArray();

        var (even, weighted) = (Int4(row), Int4(row, inputs));
        double Of(float[] numbers) => Enumerable.Range(0, row.Length).Sum(i => inputs[i] * Math.Pow((double)row[i] - numbers[i], 2));

        Assert.True(Of(weighted) < 0.97 * Of(even), $"{Of(weighted)} against {Of(even)}");
        Assert.Equal(even, Int4(row, [.. Enumerable.Repeat(7f, row.Length)]));
        foreach (float nothing in (float[])[0, float.NaN, float.PositiveInfinity])
            Assert.Equal(even, Int4(row, [.. Enumerable.Repeat(nothing, row.Length)]));
    }

    [Theory]
    [InlineData(1), InlineData(31), InlineData(32), InlineData(33), InlineData(64), InlineData(65), InlineData(588)]
    public void Weights_behind_the_last_are_the_zero_point(int length)
    {
        var row = Enumerable.Range(0, length).Select(i => MathF.Sin(i) + 2).ToArray();   // zero is at the edge of the range
        int blocks = (length + 31) / 32;
        var (values, scales, zeroPoints) = (new byte[blocks * 16], new float[blocks], new byte[(blocks + 1) / 2]);
        Assert.True(Int4Quantiser.Quantise(row, [], values, scales, zeroPoints));

        for (int i = length; i < blocks * 32; i++)
            Assert.Equal(0, QualityCommand.Dequantise(values, scales, zeroPoints, i));
        Assert.Equal(0, blocks % 2 == 0 ? 0 : zeroPoints[^1] >> 4);
    }

    [Theory]
    [InlineData(0f), InlineData(float.Epsilon), InlineData(-1.17549435e-38f), InlineData(float.MaxValue), InlineData(-float.MaxValue), InlineData(0.1f)]
    public void One_weight_alone_survives(float weight)
    {
        var row = new float[64];
        row[40] = weight;
        var numbers = new sbyte[64];
        float scale = Int8Quantiser.Quantise(row, numbers);

        // float.Epsilon is the smallest there is: no scale below it can bring it back.
        double tolerance = Math.Abs(weight) * 1e-5 + 64 * (double)float.Epsilon;
        Assert.Equal(weight, (double)numbers[40] * scale, tolerance);
        Assert.Equal(weight, Int4(row)[40], tolerance);
        Assert.All(numbers.Where((_, i) => i != 40), number => Assert.Equal(0, number));
    }

    [Theory]
    [InlineData(float.NaN, "Int8"), InlineData(float.PositiveInfinity, "Int8")]
    [InlineData(float.NaN, "Int4"), InlineData(float.NegativeInfinity, "Int4")]
    public void A_weight_that_is_not_finite_is_named(float bad, string formName)
    {
        var values = new float[3 * 40];
        values[77] = bad;
        var form = Enum.Parse<WeightPart>(formName);
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write(
            "model.safetensors", SafetensorsBytes.OneTensor("layers.7.q_proj.weight", "F32", [3, 40], [.. values.SelectMany(BitConverter.GetBytes)])));

        var error = Assert.Throws<CheckpointException>(() => Quantiser.Make(
            [.. Parts(form).Select(part => new QuantisedTensor($"{part}", file.Tensors["layers.7.q_proj.weight"], null, part, part.Shape(3, 40)))],
            (_, bytes) => bytes.Dispose(), TestContext.Current.CancellationToken));

        Assert.Equal(
            "model.safetensors: tensor \"layers.7.q_proj.weight\" holds a value that is infinite or not a number, so it cannot be quantised. "
            + "The checkpoint is damaged, or its training has diverged: take another revision.", error.Message);
    }

    [Fact]
    public unsafe void Int8_is_stored_transposed_whatever_the_number_of_rows()
    {
        const int Outputs = 150, Inputs = 37;   // more than two of the runs that a thread takes, the last in part
        var values = Enumerable.Range(0, Outputs * Inputs).Select(i => MathF.Sin(i * 0.7f)).ToArray();
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write(
            "model.safetensors", SafetensorsBytes.OneTensor("w", "F32", [Outputs, Inputs], [.. values.SelectMany(BitConverter.GetBytes)])));

        var made = new Dictionary<WeightPart, NativeBuffer>();
        Quantiser.Make(
            [.. Parts(WeightPart.Int8).Select(part => new QuantisedTensor($"{part}", file.Tensors["w"], null, part, part.Shape(Outputs, Inputs)))],
            (tensor, bytes) => made.Add(tensor.Part, bytes), TestContext.Current.CancellationToken);

        var numbers = new sbyte[Inputs];
        for (int output = 0; output < Outputs; output++)
        {
            float scale = Int8Quantiser.Quantise(values.AsSpan(output * Inputs, Inputs), numbers);
            Assert.Equal(scale, ((float*)made[WeightPart.Int8Scale].Data)[output]);
            for (int input = 0; input < Inputs; input++)
                Assert.Equal(numbers[input], ((sbyte*)made[WeightPart.Int8].Data)[input * Outputs + output]);
        }
        foreach (var buffer in made.Values)
            buffer.Dispose();
    }

    internal static IEnumerable<WeightPart> Parts(WeightPart form) =>
        form == WeightPart.Int8 ? [WeightPart.Int8, WeightPart.Int8Scale] : [WeightPart.Int4, WeightPart.Int4Scale, WeightPart.Int4ZeroPoint];

    static float[] Int4(float[] row, float[]? inputs = null)
    {
        int blocks = (row.Length + 31) / 32;
        var (values, scales, zeroPoints) = (new byte[blocks * 16], new float[blocks], new byte[(blocks + 1) / 2]);
        Assert.True(Int4Quantiser.Quantise(row, inputs ?? [], values, scales, zeroPoints));
        return [.. row.Select((_, i) => QualityCommand.Dequantise(values, scales, zeroPoints, i))];
    }

    static double Error(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += Math.Pow((double)a[i] - b[i], 2);
        return sum;
    }
}
