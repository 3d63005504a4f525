using System.Numerics.Tensors;

namespace MedVlm.Checkpoints;

/// <summary>A LoRA adapter (arXiv:2106.09685) as PEFT saves it: adapter_config.json and adapter_model.safetensors.</summary>
/// <remarks>The base checkpoint's files are not touched: a merged weight is made in memory when its session is.</remarks>
internal sealed class LoraAdapter : IDisposable
{
    public const string ConfigFile = "adapter_config.json";
    const string WeightsFile = "adapter_model.safetensors";

    const string Prefix = "base_model.model.", A = ".lora_A.weight", B = ".lora_B.weight", Weight = ".weight";

    readonly LoraConfig _config;
    readonly SafetensorsFile _file;

    LoraAdapter(LoraConfig config, SafetensorsFile file) => (_config, _file) = (config, file);

    /// <exception cref="CheckpointException">A file is missing or damaged, or the adapter is of a kind that is not merged.</exception>
    public static LoraAdapter Open(string folder)
    {
        var config = JsonFile.Read(Path.Combine(folder, ConfigFile), LoraJson.Default.LoraConfig);
        config.Check();

        var weights = Path.Combine(folder, WeightsFile);
        if (!FileNames.Exists(weights) && FileNames.Exists(Path.Combine(folder, "adapter_model.bin")))
            throw new CheckpointException(
                "adapter_model.bin: weights in pickle format are never read, because a pickle can run code. Save the adapter in Python with "
                + "save_pretrained(folder, safe_serialization=True).");
        return new LoraAdapter(config, SafetensorsFile.Open(weights));
    }

    /// <summary>Finds the base weight of each pair of matrices.</summary>
    /// <param name="tensors">The base's tensors.</param>
    /// <param name="moduleNames">All names that a module of the base has had: adapters keep the one of the release that trained them.</param>
    /// <returns>What to add to a base tensor, by its name.</returns>
    /// <exception cref="CheckpointException">The adapter is of another base, or tensors are missing, surplus or mis-shaped.</exception>
    public IReadOnlyDictionary<string, LoraDelta> Bind(
        IReadOnlyDictionary<string, StoredTensor> tensors, Func<string, IReadOnlyList<string>> moduleNames)
    {
        var left = _file.Tensors.Keys.ToHashSet();
        var missing = new List<string>();
        var deltas = new Dictionary<string, LoraDelta>();
        foreach (var (tensor, weight) in tensors.Where(entry => entry.Value.Shape.Length == 2 && entry.Key.EndsWith(Weight, StringComparison.Ordinal)))
        {
            var names = moduleNames(tensor[..^Weight.Length]);
            if (!names.Any(_config.Targets))
                continue;

            var name = names.FirstOrDefault(name => left.Contains(Prefix + name + A) || left.Contains(Prefix + name + B)) ?? names[0];
            if (left.Remove(Prefix + name + A) & left.Remove(Prefix + name + B))
                deltas.Add(tensor, Delta(weight, name));
            else
                missing.Add(Prefix + name + A);
        }

        if (missing.Count > 0)
            throw new CheckpointException(
                $"{WeightsFile}: target_modules of {ConfigFile} asks for {missing.Count} pairs of matrices that are not there: {List(missing)}. "
                + "The adapter is of another base model, or was cut short: take the base that it names as base_model_name_or_path.");
        if (left.Count > 0)
            throw new CheckpointException(
                $"{WeightsFile}: {left.Count} tensors belong to no linear layer of the base that target_modules of {ConfigFile} names: "
                + $"{List(left.Order(StringComparer.Ordinal))}. The adapter is of another base model: take the base that it names as base_model_name_or_path.");
        return deltas;
    }

    public void Dispose() => _file.Dispose();

    LoraDelta Delta(StoredTensor weight, string module)
    {
        var (a, b, rank) = (_file.Tensors[Prefix + module + A], _file.Tensors[Prefix + module + B], _config.Rank(module));
        foreach (var (tensor, shape) in (ReadOnlySpan<(StoredTensor, long[])>)[(a, [rank, weight.Shape[1]]), (b, [weight.Shape[0], rank])])
            if (!tensor.Shape.SequenceEqual(shape))
                throw new CheckpointException(
                    $"{WeightsFile}: tensor {Fault.Quote(tensor.Name)} is [{Text(tensor.Shape)}], but rank {rank} and the base's "
                    + $"{Fault.Quote(weight.Name)} [{Text(weight.Shape)}] ask for [{Text(shape)}]. "
                    + "The adapter is of another base model: take the base that it names as base_model_name_or_path.");
        return new LoraDelta(a, b, _config.Scale(module));
    }

    static string Text(IEnumerable<long> shape) => string.Join(", ", shape);

    static string List(IEnumerable<string> names)
    {
        var all = names.ToList();
        return string.Join(", ", all.Take(5).Select(Fault.Quote)) + (all.Count > 5 ? ", …" : "");
    }
}

/// <summary>What an adapter adds to a weight [out, in]: <c>scale · B A</c>, B [out, r], A [r, in].</summary>
internal sealed record LoraDelta(StoredTensor A, StoredTensor B, float Scale)
{
    /// <summary>Adds it to a weight in memory.</summary>
    public unsafe void AddTo(float* weight) => Rows().AddTo(0, B.Shape[0], weight);

    /// <summary>The two matrices in FP32, for as long as their rows are wanted.</summary>
    public LoraRows Rows()
    {
        var (a, b) = (new float[A.Elements], new float[B.Elements]);
        Widen.ToFloat32(A, a);
        Widen.ToFloat32(B, b);
        return new LoraRows(a, b, (int)A.Shape[0], Scale);
    }
}

/// <summary>An adapter's two matrices, to be added to some rows of a weight at a time.</summary>
internal sealed class LoraRows(float[] a, float[] b, int rank, float scale)
{
    readonly int _inputs = a.Length / rank;

    /// <summary>Adds it to rows of the weight.</summary>
    /// <param name="first">The first row.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="weights">Their values.</param>
    public unsafe void AddTo(long first, long rows, float* weights) => Parallel.For(0, rows, row =>
    {
        var values = new Span<float>(weights + row * _inputs, _inputs);
        for (int r = 0; r < rank; r++)
            TensorPrimitives.MultiplyAdd(a.AsSpan(r * _inputs, _inputs), scale * b[(first + row) * rank + r], values, values);
    });
}
