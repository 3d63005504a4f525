using System.Runtime.InteropServices;
using System.Security.Cryptography;

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
        foreach (var (name, stored) in file.Tensors)
        {
            if (name.Split('/', 3) is not [var kind, var number, var tensor] || !int.TryParse(number, out int index) || !tensors.TryGetValue(tensor, out var weight)
                || stored.Dtype != TensorDtype.F32 || weight.Shape.Length == 0
                || stored.Elements != (kind == RowsKind ? weight.Shape[0] : weight.Elements / weight.Shape[0]))
                return null;

            var values = new float[stored.Elements];
            Widen.ToFloat32(stored, values);
            if (!values.All(value => float.IsFinite(value) && (kind == SquaresKind ? value >= 0 : value > 0)))
                return null;
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
                case SquaresKind:
                    squares.Add(tensor, values);
                    break;
                default:
                    return null;
            }
        }
        return new CalibrationData([.. folds.Values.Where(fold => fold.Columns.Count > 0).Select(fold => new Fold(fold.Columns, fold.Rows))], squares);
    }

    /// <summary>The same text for the same numbers.</summary>
    public string Content()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (name, values) in ToVectors().OrderBy(vector => vector.Name, StringComparer.Ordinal))
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
