using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Devices;
using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Models;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Calibration;

/// <summary>
/// A copy of a checkpoint in which a few channels before every linear layer are much larger than the others, and their weights as much smaller, wherever that
/// can be: the same function in FP32, to the bit, with the outliers of large language models.
/// </summary>
internal static class PlantedCheckpoint
{
    const int OneOf = 29;

    /// <param name="options">A checkpoint, and what lies beside it.</param>
    /// <param name="factor">How much larger: a power of two.</param>
    public static TemporaryFolder Of(MedicalCaptionerOptions options, float factor)
    {
        var copy = new TemporaryFolder();
        foreach (var path in Directory.EnumerateFiles(options.Model))
            copy.Write(Path.GetFileName(path), File.ReadAllBytes(path));

        var changes = new List<(string File, long Offset, byte[] Bytes)>();
        using (var checkpoint = Checkpoint.Open(copy.Path))
        {
            var family = ModelRegistry.Create(ModelPlanner.SourceOf(options, checkpoint));
            var tensors = family.Tensors(checkpoint);
            var graphs = ModelGraphs.Build(family, tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo("", tensor.Value.Shape)));
            var folds = LinearGroup.Of(graphs.Vision, graphs.Decoder).SelectMany(groups => groups).Where(group => group.Source is not null)
                .Select(group => FoldingTests.Fold(group, row => row % OneOf == 3 ? 1 / factor : 1)).ToList();
            var (rows, columns) = (folds.SelectMany(fold => fold.Rows).ToDictionary(), folds.SelectMany(fold => fold.Columns).ToDictionary());
            foreach (var name in rows.Keys.Union(columns.Keys))
                changes.Add((tensors[name].File.Path, tensors[name].Offset, Bytes(tensors[name], columns.GetValueOrDefault(name), rows.GetValueOrDefault(name))));
        }
        foreach (var (file, offset, bytes) in changes)
        {
            using var stream = File.OpenWrite(file);
            stream.Position = offset;
            stream.Write(bytes);
        }
        return copy;
    }

    static byte[] Bytes(StoredTensor stored, float[]? columns, float[]? rows)
    {
        byte[] bytes = [];
        Quantiser.Make(
            [new QuantisedTensor(stored.Name, stored, null, WeightPart.Float32, [.. stored.Shape]) { Columns = columns, Rows = rows }],
            (_, made) =>
            {
                using (made)
                    bytes = Stored(stored.Dtype, made);
            }, TestContext.Current.CancellationToken);
        return bytes;
    }

    /// <summary>FP32 as the file has it. Powers of two round nothing.</summary>
    static unsafe byte[] Stored(TensorDtype dtype, NativeBuffer made)
    {
        var values = new ReadOnlySpan<float>(made.Data, (int)(made.Length / sizeof(float)));
        var bytes = new List<byte>();
        foreach (float value in values)
            bytes.AddRange(dtype switch
            {
                TensorDtype.F32 => BitConverter.GetBytes(value),
                TensorDtype.F16 => BitConverter.GetBytes((Half)value),
                TensorDtype.BF16 => BitConverter.GetBytes(value)[2..],
                _ => throw new NotSupportedException($"{dtype}"),
            });
        return [.. bytes];
    }
}
