using System.Runtime.CompilerServices;
using System.Text;
using MedVlm.Checkpoints.Quantised;

namespace MedVlm.Graphs;

/// <summary>A stored tensor that a graph asks for.</summary>
/// <param name="Initializer">Name of the initializer in the graph.</param>
/// <param name="StoredName">Name of the tensor in the checkpoint.</param>
/// <param name="Shape">Shape that the graph sees: the stored one, another with as many elements, or that of the part.</param>
/// <param name="Part">The weight in floating point, or a part of its quantised form.</param>
/// <param name="InputNorm">The norm that makes what a weight in 4 bits multiplies; null where another word does.</param>
internal sealed record WeightUse(
    string Initializer, string StoredName, long[] Shape, WeightPart Part = WeightPart.Float32, NormUse? InputNorm = null)
{
    /// <summary>Type that the graph sees.</summary>
    public ElementType Type => Part.Dtype switch
    {
        Checkpoints.TensorDtype.I8 => ElementType.Int8,
        Checkpoints.TensorDtype.U8 => ElementType.UInt8,
        Checkpoints.TensorDtype.F16 => ElementType.Float16,
        _ => ElementType.Float32,
    };
}

/// <summary>What is known of a stored tensor before its bytes are read.</summary>
internal sealed record WeightInfo(string FileName, IReadOnlyList<long> Shape);

/// <summary>Names and shapes of a checkpoint's tensors, and which of them the graphs have asked for.</summary>
internal sealed class WeightCatalog(IReadOnlyDictionary<string, WeightInfo> tensors)
{
    readonly HashSet<string> _asked = [];

    /// <summary>Tensors that the graphs have asked for.</summary>
    public IReadOnlySet<string> Asked => _asked;

    /// <summary>Top of the checkpoint's names.</summary>
    public Weights Root => new(this, "");

    /// <summary>Checks, after all graphs are built, that no tensor is left over: a weight that nobody reads means another model.</summary>
    /// <exception cref="CheckpointException">The files hold tensors that no graph has asked for.</exception>
    /// <param name="ignores">Tensors that a family's files may hold although nothing reads them.</param>
    public void RefuseSurplus(Func<string, bool> ignores)
    {
        var surplus = tensors.Keys.Where(name => !_asked.Contains(name) && !ignores(name)).Order(StringComparer.Ordinal).ToList();
        if (surplus.Count > 0)
            throw new CheckpointException(
                $"{tensors[surplus[0]].FileName}: {surplus.Count} tensors belong to nothing that config.json describes: "
                + $"{string.Join(", ", surplus.Take(5).Select(name => $"\"{name}\""))}{(surplus.Count > 5 ? ", …" : "")}. "
                + "Checkpoint and config.json are of different models: take both from one revision.");
    }

    public bool Contains(string name) => tensors.ContainsKey(name);

    /// <summary>Looks a tensor up and compares its shape with the one that config.json leads to.</summary>
    /// <param name="name">Name in the checkpoint.</param>
    /// <param name="shape">Shape that the model asks for.</param>
    /// <param name="reason">The setting that the shape comes from, for the message.</param>
    /// <exception cref="CheckpointException">No such tensor, or another shape.</exception>
    public WeightInfo Require(string name, ReadOnlySpan<long> shape, string reason)
    {
        if (!tensors.TryGetValue(name, out var info))
            throw new CheckpointException(
                $"The checkpoint has no tensor \"{name}\", which config.json asks for as [{Text(shape)}]. "
                + "Checkpoint and config.json are of different models, or a shard is missing: take all files from one revision.");

        if (!shape.SequenceEqual([.. info.Shape]))
            throw new CheckpointException(
                $"{info.FileName}: tensor \"{name}\" is [{Text([.. info.Shape])}], but config.json{reason} asks for [{Text(shape)}]. "
                + "Checkpoint and config.json are of different models: take both from one revision.");

        _asked.Add(name);
        return info;
    }

    static string Text(ReadOnlySpan<long> shape) => string.Join(", ", shape.ToArray());
}

/// <summary>A scope of the checkpoint's own names: <c>w["self_attn"]["q_proj"]</c> stands for <c>….self_attn.q_proj</c>.</summary>
internal sealed class Weights(WeightCatalog catalog, string path, string hostSuffix = ".weight")
{
    public string Path => path;

    /// <summary>Whether the checkpoint has the tensor of this name and suffix.</summary>
    public bool Has(string suffix) => catalog.Contains(path + suffix);

    public Weights this[string name] => new(catalog, path.Length == 0 ? name : $"{path}.{name}");

    /// <summary>The tensor of this name itself, or <c>.weight</c>, <c>.bias</c> below it.</summary>
    /// <param name="graph">Graph that uses it.</param>
    /// <param name="suffix"><c>.weight</c>, <c>.bias</c>, or empty.</param>
    /// <param name="shape">Shape that the file must have.</param>
    /// <param name="as">Shape that the graph sees, if another one.</param>
    /// <param name="size">The expression behind the first dimension, for the message of a mismatch.</param>
    public Tensor Get(GraphBuilder graph, string suffix, long[] shape, long[]? @as = null, string? size = null)
    {
        var stored = path + suffix;
        catalog.Require(stored, shape, Reason(size));
        return graph.Weight(new WeightUse(
            stored, stored, @as ?? shape, graph.Floats == ElementType.Float16 ? WeightPart.Float16 : WeightPart.Float32));
    }

    /// <summary>A part of the quantised form of the weight [outputs, inputs] of this name.</summary>
    /// <param name="graph">Graph that uses it.</param>
    /// <param name="part">The part.</param>
    /// <param name="outputs">Rows of the weight.</param>
    /// <param name="inputs">Columns of the weight.</param>
    /// <param name="size">The expression behind the rows, for the message of a mismatch.</param>
    /// <param name="inputNorm">The norm that makes what it multiplies, where the quantiser is to know.</param>
    public Tensor Quantised(GraphBuilder graph, WeightPart part, long outputs, long inputs, string? size, NormUse? inputNorm = null)
    {
        var stored = $"{path}.weight";
        catalog.Require(stored, [outputs, inputs], Reason(size));
        return graph.Weight(new WeightUse($"{stored}/{part}", stored, part.Shape(outputs, inputs), part, inputNorm));
    }

    /// <summary>The tensor of this very name, for the host to read, where others have one below it.</summary>
    public Weights Itself => new(catalog, path, hostSuffix: "");

    /// <summary>Marks a tensor that the host reads (the token embedding, learned positions) as asked for, and checks its shape.</summary>
    public string OnHost(long rows, long width, [CallerArgumentExpression(nameof(rows))] string? size = null)
    {
        catalog.Require(path + hostSuffix, [rows, width], Reason(size));
        return path + hostSuffix;
    }

    /// <summary>"text.NumKeyValueHeads * text.HeadDim" as a reader of config.json knows it: " (num_key_value_heads * head_dim)".</summary>
    static string Reason(string? expression)
    {
        if (expression is null)
            return "";

        var words = new StringBuilder();
        foreach (var part in expression.Split(' '))
        {
            var name = part.Split('.')[^1];
            if (words.Length > 0)
                words.Append(' ');
            words.Append(System.Text.Json.JsonNamingPolicy.SnakeCaseLower.ConvertName(name));
        }
        return $" ({words})";
    }
}
