using System.Numerics.Tensors;
using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Models;

namespace MedVlm.Benchmarks.Commands;

/// <summary>What INT8 and INT4 cost in quality: the TinyModel's captions, and the error of each quantised weight of a checkpoint.</summary>
internal static class QualityCommand
{
    public static async Task RunAsync(Arguments arguments)
    {
        foreach (var folder in arguments.Texts("images").DefaultIfEmpty(Places.InCheckout("samples", "images")))
            foreach (var (precision, gpu) in ((Precision, bool)[])
                [(Precision.Int8, false), (Precision.Int4, false), (Precision.Fp16, true), (Precision.Int8, true), (Precision.Int4, true)])
            {
                var quality = await Quality.MeasureAsync(precision, gpu, folder, CancellationToken.None);
                new Measurement("captions identical to FP32", Math.Round(quality.IdenticalShare, 4), "share")
                {
                    Model = "TinyModel", Precision = precision.ToString().ToLowerInvariant() + (gpu ? ", the graphs of a GPU" : ""),
                    Notes = new
                    {
                        captions = quality.Captions, rouge_l = Math.Round(quality.RougeL, 4), rouge_l_fp32 = Math.Round(quality.RougeLFp32, 4),
                        change = Math.Round(quality.RougeLChange, 4),
                    },
                }.Print();
            }
    }

    /// <summary>Error of each weight that linear layers multiply with: the norm of the error over the norm of the weight.</summary>
    public static void Errors(Arguments arguments)
    {
        var folder = arguments.Word("checkpoint folder");
        using var checkpoint = Checkpoint.Open(folder);
        var family = ModelRegistry.Create(new ModelSource(checkpoint, TokenizerSource: arguments.Text("tokenizer")));
        var tensors = family.Tensors(checkpoint);
        var graphs = ModelGraphs.Build(
            family, tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo(tensor.Value.File.FileName, tensor.Value.Shape)), Precision.Int8);
        var weights = graphs.Vision.Weights.Concat(graphs.Decoder.Weights).Where(use => use.Part == WeightPart.Int8).Select(use => use.StoredName).Distinct();

        var errors = weights.Select(name => (Name: name, Error: Of(tensors[name]))).ToList();
        if (arguments.Has("all"))
            foreach (var (name, error) in errors)
                Print(name, error);
        Print("median", Over(values => values.Order().ElementAt(errors.Count / 2)));
        Print("largest", Over(values => values.Max()));

        WeightErrors Over(Func<IEnumerable<double>, double> of) => new(
            of(errors.Select(e => e.Error.Int8)), of(errors.Select(e => e.Error.Int8Blocks)), of(errors.Select(e => e.Error.Int4)),
            of(errors.Select(e => e.Error.Int4Rounded)));

        void Print(string what, WeightErrors error) => new Measurement($"{what}: relative error", Math.Round(error.Int8, 5), "of INT8")
        {
            Model = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)),
            Notes = new { weights = errors.Count, int8_by_blocks = Math.Round(error.Int8Blocks, 5), int4 = Math.Round(error.Int4, 5), int4_rounded_over_the_range = Math.Round(error.Int4Rounded, 5) },
        }.Print();
    }

    /// <param name="Int8">INT8 of a CPU: a scale for each output.</param>
    /// <param name="Int8Blocks">INT8 of a GPU: a scale in FP16 for each block.</param>
    /// <param name="Int4">INT4.</param>
    /// <param name="Int4Rounded">Rounding to nearest over the block's range.</param>
    readonly record struct WeightErrors(double Int8, double Int8Blocks, double Int4, double Int4Rounded);

    static WeightErrors Of(StoredTensor tensor)
    {
        int inputs = (int)(tensor.Elements / tensor.Shape[0]), blocks = (int)Int4Quantiser.Blocks(inputs);
        double norm = 0, int8 = 0, int8Blocks = 0, int4 = 0, rounded = 0;
        float[] row = new float[inputs], back = new float[inputs], scales = new float[blocks];
        var (numbers, packed, zeroPoints) = (new sbyte[inputs], new byte[blocks * Int4Quantiser.BlockBytes], new byte[(blocks + 1) / 2]);
        for (long i = 0; i < tensor.Shape[0]; i++)
        {
            Widen.RowToFloat32(tensor, i, row);
            norm += TensorPrimitives.SumOfSquares<float>(row);

            float scale = Int8Quantiser.Quantise(row, numbers);
            for (int j = 0; j < inputs; j++)
                back[j] = numbers[j] * scale;
            int8 += Square(TensorPrimitives.Distance<float>(row, back));

            for (int first = 0; first < inputs; first += Int4Quantiser.BlockSize)
            {
                int count = Math.Min(Int4Quantiser.BlockSize, inputs - first);
                scale = Int8Quantiser.Quantise(row.AsSpan(first, count), numbers, halfScale: true);
                for (int j = 0; j < count; j++)
                    back[first + j] = numbers[j] * scale;
            }
            int8Blocks += Square(TensorPrimitives.Distance<float>(row, back));

            Int4Quantiser.Quantise(row, [], packed, scales, zeroPoints);
            for (int j = 0; j < inputs; j++)
                back[j] = Dequantise(packed, scales, zeroPoints, j);
            int4 += Square(TensorPrimitives.Distance<float>(row, back));

            for (int first = 0; first < inputs; first += Int4Quantiser.BlockSize)
                RoundOverRange(row.AsSpan(first, Math.Min(Int4Quantiser.BlockSize, inputs - first)), back.AsSpan(first));
            rounded += Square(TensorPrimitives.Distance<float>(row, back));
        }
        return new(Math.Sqrt(int8 / norm), Math.Sqrt(int8Blocks / norm), Math.Sqrt(int4 / norm), Math.Sqrt(rounded / norm));

        static double Square(double value) => value * value;
    }

    /// <summary>One weight of a row, as MatMulNBits reads it.</summary>
    public static float Dequantise(ReadOnlySpan<byte> values, ReadOnlySpan<float> scales, ReadOnlySpan<byte> zeroPoints, int index)
    {
        int block = index / Int4Quantiser.BlockSize;
        return (Half(values[index / 2], index) - Half(zeroPoints[block / 2], block)) * scales[block];

        static int Half(byte pair, int index) => index % 2 == 0 ? pair & 15 : pair >> 4;
    }

    /// <summary>Round to nearest over the block's own range, 0 included: what the search is measured against.</summary>
    public static void RoundOverRange(ReadOnlySpan<float> weights, Span<float> back)
    {
        float low = MathF.Min(TensorPrimitives.Min(weights), 0), high = MathF.Max(TensorPrimitives.Max(weights), 0);
        float scale = (high - low) / Int4Quantiser.Largest;
        float zero = scale == 0 ? 0 : MathF.Round(-low / scale);
        for (int i = 0; i < weights.Length; i++)
            back[i] = scale == 0 ? 0 : (Math.Clamp(MathF.Round(weights[i] / scale) + zero, 0, Int4Quantiser.Largest) - zero) * scale;
    }
}
