using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using MedVlm.Graphs;

namespace MedVlm.Checkpoints.Quantised;

/// <summary>What runs of a model on images have taught about its linear layers.</summary>
/// <param name="Folds">Factors that move outlier channels from activations into weights, for layers that compute in INT8.</param>
/// <param name="MeanSquares">By the name of a weight [out, in], the mean square of each input: what INT4's errors are weighed by.</param>
internal sealed record CalibrationData(IReadOnlyList<Fold> Folds, IReadOnlyDictionary<string, float[]> MeanSquares)
{
    const string ColumnsKind = "columns", RowsKind = "rows", SquaresKind = "mean-squares";

    /// <summary>As named vectors, for a file.</summary>
    public IReadOnlyList<(string Name, float[] Values)> ToVectors() =>
    [
        .. Folds.Index().SelectMany(fold => fold.Item.Columns.Select(entry => ($"{ColumnsKind}/{fold.Index}/{entry.Key}", entry.Value))
            .Concat(fold.Item.Rows.Select(entry => ($"{RowsKind}/{fold.Index}/{entry.Key}", entry.Value)))),
        .. MeanSquares.Select(entry => ($"{SquaresKind}/0/{entry.Key}", entry.Value)),
    ];

    /// <summary>From the vectors of a file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="tensors">The checkpoint's tensors, which the vectors must fit.</param>
    /// <returns>Null where the file holds anything else.</returns>
    public static CalibrationData? Read(SafetensorsFile file, IReadOnlyDictionary<string, StoredTensor> tensors)
    {
        var folds = new SortedDictionary<int, (Dictionary<string, float[]> Columns, Dictionary<string, float[]> Rows)>();
        var squares = new Dictionary<string, float[]>();
        var seen = new HashSet<(string Kind, string Tensor)>();
        foreach (var (name, stored) in file.Tensors)
        {
            // A tensor has one vector of a kind: in two folds, it would be multiplied by one of them only.
            if (name.Split('/', 3) is not [var kind, var number, var tensor] || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int index)
                || !seen.Add((kind, tensor)) || !tensors.TryGetValue(tensor, out var weight) || stored.Dtype != TensorDtype.F32 || weight.Shape.Length == 0
                || weight.Elements == 0 || stored.Elements != (kind == RowsKind ? weight.Shape[0] : weight.Elements / weight.Shape[0]))
                return null;

            var values = new float[stored.Elements];
            Widen.ToFloat32(stored, values);
            if (!values.All(value => kind == SquaresKind ? float.IsFinite(value) && value >= 0 : float.IsPow2(value)))
                return null;
            if (kind == SquaresKind)
            {
                squares.Add(tensor, values);
                continue;
            }
            if (!folds.ContainsKey(index))
                folds[index] = ([], []);
            switch (kind)
            {
                case ColumnsKind:
                    folds[index].Columns.Add(tensor, values);
                    break;
                case RowsKind:
                    folds[index].Rows.Add(tensor, values);
                    break;
                default:
                    return null;
            }
        }

        // Half a fold would change what the model computes.
        return folds.Values.Any(fold => fold.Columns.Count == 0 || fold.Rows.Count == 0)
            ? null
            : new CalibrationData([.. folds.Values.Select(fold => new Fold(fold.Columns, fold.Rows))], squares);
    }

    /// <summary>
    /// Whether every fold changes nothing in these graphs but the size of channels: the same tensors may be read in another way where config.json has
    /// other head counts, or a later version builds another graph.
    /// </summary>
    /// <param name="groups">The linear layers of the model's graphs in floating point.</param>
    public bool Fits(IEnumerable<LinearGroup> groups)
    {
        var smoothable = groups.Where(group => group.Source is not null).ToList();
        return Folds.All(fold => smoothable.Any(group =>
            fold.Columns.Keys.ToHashSet().SetEquals(group.Layers.Select(layer => layer.Weight)) && fold.Rows.Keys.ToHashSet().SetEquals(group.Source!.Tensors)
            && fold.Columns.Values.All(columns => columns.Length == group.Source.RowOf.Length && fold.Rows.Values.All(rows => Undoes(group.Source, columns, rows)))));
    }

    /// <summary>Whether weights are multiplied by what the rows that make their inputs are divided by, and no other row is touched.</summary>
    static bool Undoes(ChannelSource source, float[] columns, float[] rows)
    {
        if (rows.Length != source.Rows)
            return false;
        var left = rows.ToArray();
        foreach (var (channel, row) in source.RowOf.Index())
        {
            if (columns[channel] != rows[row])
                return false;
            left[row] = 1;
        }
        return left.All(factor => factor == 1);
    }

    /// <summary>The same text for the same numbers.</summary>
    public string Content() => Content(ToVectors());

    /// <summary>Whether a file holds what was written, whatever weights it is for.</summary>
    public static bool IsWhole(SafetensorsFile file)
    {
        if (file.Tensors.Values.Any(stored => stored.Dtype != TensorDtype.F32))
            return false;
        return Content(file.Tensors.Select(tensor =>
        {
            var values = new float[tensor.Value.Elements];
            Widen.ToFloat32(tensor.Value, values);
            return (tensor.Key, values);
        })) == file.Metadata.GetValueOrDefault(QuantisedCache.CalibrationContent);
    }

    static string Content(IEnumerable<(string Name, float[] Values)> vectors)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (name, values) in vectors.OrderBy(vector => vector.Name, StringComparer.Ordinal))
        {
            hash.AppendData(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(name)));
            hash.AppendData(SHA256.HashData(MemoryMarshal.AsBytes<float>(values)));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>
    /// The tensors that a model's graphs ask for, with what bears on them. A fold counts whole or not at all: where all layers that it is for have one scale
    /// for all inputs of an output (INT8), or none (FP32, where it changes nothing). Scales for blocks of inputs have no need of it.
    /// </summary>
    public IReadOnlyList<QuantisedTensor> ApplyTo(IReadOnlyList<QuantisedTensor> tensors)
    {
        var foldable = tensors.Where(tensor => tensor.Part is WeightPart.Int8 or WeightPart.Float32).Select(tensor => tensor.StoredName).ToHashSet();
        var folds = Folds.Where(fold => fold.Columns.Keys.Concat(fold.Rows.Keys).All(foldable.Contains)).ToList();
        var columns = folds.SelectMany(fold => fold.Columns).ToDictionary();
        var rows = folds.SelectMany(fold => fold.Rows).ToDictionary();
        return
        [
            .. tensors.Select(tensor => tensor with
            {
                Columns = columns.GetValueOrDefault(tensor.StoredName), Rows = rows.GetValueOrDefault(tensor.StoredName),
                MeanSquares = tensor.Part is WeightPart.Int4 or WeightPart.Int4Scale or WeightPart.Int4Scale16 or WeightPart.Int4ZeroPoint
                    ? MeanSquares.GetValueOrDefault(tensor.StoredName)
                    : null,
            }),
        ];
    }
}

/// <summary>Factors of one group of linear layers, all powers of two: no digit changes, so a model in FP32 computes the same bits with them as without.</summary>
/// <param name="Columns">By the name of each weight [out, in] that multiplies the smoothed value: what the weights of an input are multiplied by, [in].</param>
/// <param name="Rows">By the name of each tensor that makes the value: what its rows are divided by.</param>
internal sealed record Fold(IReadOnlyDictionary<string, float[]> Columns, IReadOnlyDictionary<string, float[]> Rows);
