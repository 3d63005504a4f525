using System.Runtime.InteropServices;
using MedVlm.Benchmarks.Commands;
using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Tests.Checkpoints;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Tests.Graphs;

/// <summary>A linear layer in INT8 and INT4, as ONNX Runtime computes it, against the same in plain C#.</summary>
public sealed class QuantisedLinearTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1, 64, 48), InlineData(5, 64, 48), InlineData(9, 100, 33), InlineData(3, 31, 7), InlineData(64, 588, 96)]
    public void Int8_multiplies_the_quantised_numbers(int rows, int inputs, int outputs)
    {
        var (x, w, bias) = (Values(rows * inputs, 1), Values(inputs * outputs, 2), Values(outputs, 3));
        x.AsSpan(0, Math.Min(3, inputs)).Fill(30);   // outliers
        if (rows > 2)
            x.AsSpan(2 * inputs, inputs).Clear();    // a row of zeros

        var actual = Run(LinearFormat.Int8, x, w, bias, rows, inputs, outputs);

        var numbers = new sbyte[inputs];
        for (int output = 0; output < outputs; output++)
        {
            float scale = Int8Quantiser.Quantise(w.AsSpan(output * inputs, inputs), numbers);
            for (int row = 0; row < rows; row++)
            {
                var values = x.AsSpan(row * inputs, inputs).ToArray();
                float largest = MathF.Max(values.Max(MathF.Abs), 1e-30f);
                int sum = 0;
                for (int i = 0; i < inputs; i++)
                    sum += (int)MathF.Round(values[i] / largest / (1f / IntegerProducts.LargestActivation)) * numbers[i];
                float expected = sum * (scale / IntegerProducts.LargestActivation) * largest + bias[output];

                // Where a quotient lies at a half, one number may be rounded the other way: a step of the largest weight.
                Assert.Equal(expected, actual[row * outputs + output], 1.01f * largest * scale * 127 / IntegerProducts.LargestActivation + 1e-5f * MathF.Abs(expected) + 1e-5f);
            }
        }
    }

    [Theory]
    [InlineData(1, 64, 48), InlineData(5, 64, 48), InlineData(9, 100, 33), InlineData(3, 31, 7), InlineData(64, 588, 96)]
    public void Int4_multiplies_the_dequantised_weights(int rows, int inputs, int outputs)
    {
        var (x, w, bias) = (Values(rows * inputs, 1), Values(inputs * outputs, 2), Values(outputs, 3));

        var actual = Run(LinearFormat.Int4, x, w, bias, rows, inputs, outputs);

        int blocks = (inputs + 31) / 32;
        var (packed, scales, zeroPoints) = (new byte[blocks * 16], new float[blocks], new byte[(blocks + 1) / 2]);
        for (int output = 0; output < outputs; output++)
        {
            Int4Quantiser.Quantise(w.AsSpan(output * inputs, inputs), [], packed, scales, zeroPoints);
            for (int row = 0; row < rows; row++)
            {
                double expected = bias[output], magnitude = 0;
                for (int i = 0; i < inputs; i++)
                {
                    double product = x[row * inputs + i] * QualityCommand.Dequantise(packed, scales, zeroPoints, i);
                    expected += product;
                    magnitude += product * product;
                }

                // Level 4 rounds activations to 8 bits by block: half a step of 1/127 each, independent of each other.
                Assert.Equal(expected, actual[row * outputs + output], 6 * Math.Sqrt(magnitude) / 127 + 1e-4);
            }
        }
    }

    [Theory]
    [InlineData("Int8"), InlineData("Int4")]
    public void A_row_does_not_depend_on_its_neighbours(string format)
    {
        const int Rows = 7, Inputs = 96, Outputs = 40;
        var (x, w, bias) = (Values(Rows * Inputs, 1), Values(Inputs * Outputs, 2), Values(Outputs, 3));
        x.AsSpan(0, Inputs).Fill(50);
        var together = Run(Enum.Parse<LinearFormat>(format), x, w, bias, Rows, Inputs, Outputs);
        for (int row = 0; row < Rows; row++)
        {
            var alone = Run(Enum.Parse<LinearFormat>(format), x[(row * Inputs)..((row + 1) * Inputs)], w, bias, 1, Inputs, Outputs);
            for (int i = 0; i < Outputs; i++)
                Assert.Equal(alone[i], together[row * Outputs + i], 1e-4f * Math.Max(1, MathF.Abs(alone[i])));   // one row and several are summed in other orders
        }
    }

    [Fact]
    public void Layers_that_read_the_same_values_share_their_quantisation()
    {
        var graph = new GraphBuilder("test", LinearFormat.Int8);
        var root = new WeightCatalog(new Dictionary<string, WeightInfo>
        {
            ["q.weight"] = new("f", [8, 4]), ["k.weight"] = new("f", [8, 4]), ["o.weight"] = new("f", [4, 8]),
        }).Root;
        var x = graph.Input("x", ElementType.Float32, "B", 4);

        graph.Output("y", (x.Linear(root["q"], 8) + x.Linear(root["k"], 8)).Linear(root["o"], 4), ElementType.Float32, "B", 4);

        var bytes = System.Text.Encoding.Latin1.GetString(graph.ToBytes(use => new ExternalData("f", 0, 0, use.Type)));
        Assert.Contains("QuantizeLinear_2", bytes, StringComparison.Ordinal);
        Assert.DoesNotContain("QuantizeLinear_3", bytes, StringComparison.Ordinal);
    }

    [Fact]
    public void Int4_knows_the_norm_before_a_layer_and_the_cache_tells_two_norms_apart()
    {
        using var folder = new TemporaryFolder();
        float[] w = Values(40 * 64, 1), gain = [.. Values(64, 2).Select(value => value * value + 0.01f)];
        var names = new List<string>();
        foreach (float[] norm in (float[][])[gain, [.. Enumerable.Repeat(1f, 64)]])
        {
            folder.Write("model.safetensors", SafetensorsBytes.Of(
                $$$"""{"l.weight":{"dtype":"F32","shape":[40,64],"data_offsets":[0,{{{w.Length * 4}}}]},"norm.weight":{"dtype":"F32","shape":[64],"data_offsets":[{{{w.Length * 4}}},{{{w.Length * 4 + 256}}}]}}""",
                [.. MemoryMarshal.AsBytes<float>(w), .. MemoryMarshal.AsBytes<float>(norm)]));
            using var file = SafetensorsFile.Open(folder.File("model.safetensors"));
            var graph = new GraphBuilder("test", LinearFormat.Int4);
            var root = new WeightCatalog(file.Tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo("model.safetensors", tensor.Value.Shape))).Root;
            graph.Input("x", ElementType.Float32, "B", 64).RmsNorm(root["norm"], 1e-5f).Linear(root["l"], 40);
            using var weights = QuantisedWeights.Load(
                new QuantisedCache(folder.File("cache")), "test", graph.Weights, file.Tensors, new Dictionary<string, LoraDelta>(), "model", Token);

            var place = weights.Place(graph.Weights.Single(use => use.Part == WeightPart.Int4));
            var bytes = File.ReadAllBytes(Path.Combine(folder.File("cache"), place.FileName)).AsSpan((int)place.Offset, (int)place.Length);
            var (values, scales, zeroPoints) = (new byte[2 * 16], new float[2], new byte[1]);
            for (int row = 0; row < 40; row++)
            {
                Int4Quantiser.Quantise(w.AsSpan(row * 64, 64), [.. norm.Select(value => value * value)], values, scales, zeroPoints);
                Assert.Equal(values, bytes.Slice(row * 32, 32));
            }
            names.Add(place.FileName);
        }
        Assert.NotEqual(names[0], names[1]);
    }

    static float[] Values(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() - 0.5f) * 4)];
    }

    static float[] Run(LinearFormat format, float[] x, float[] w, float[] bias, int rows, int inputs, int outputs)
    {
        using var folder = new TemporaryFolder();
        int length = w.Length * 4;
        folder.Write("model.safetensors", SafetensorsBytes.Of(
            $$$"""{"l.weight":{"dtype":"F32","shape":[{{{outputs}}},{{{inputs}}}],"data_offsets":[0,{{{length}}}]},"l.bias":{"dtype":"F32","shape":[{{{outputs}}}],"data_offsets":[{{{length}}},{{{length + outputs * 4}}}]}}""",
            [.. MemoryMarshal.AsBytes<float>(w), .. MemoryMarshal.AsBytes<float>(bias)]));
        using var file = SafetensorsFile.Open(folder.File("model.safetensors"));

        var graph = new GraphBuilder("linear", format);
        var root = new WeightCatalog(file.Tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo("model.safetensors", tensor.Value.Shape))).Root;
        graph.Output("y", graph.Input("x", ElementType.Float32, "B", inputs).Linear(root["l"], outputs, bias: true), ElementType.Float32, "B", outputs);

        using var weights = QuantisedWeights.Load(
            new QuantisedCache(folder.File("cache")), "test", graph.Weights, file.Tensors, new Dictionary<string, LoraDelta>(), "model", Token);
        using var session = new GraphSession(graph, weights, new RuntimeSettings());
        using var input = OrtValue.CreateTensorValueFromMemory(x, [rows, inputs]);
        using var options = new RunOptions();
        using var results = session.Session.Run(options, ["x"], [input], ["y"]);
        return results[0].GetTensorDataAsSpan<float>().ToArray();
    }
}
