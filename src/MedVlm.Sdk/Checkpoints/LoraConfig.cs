using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;

namespace MedVlm.Checkpoints;

/// <summary>adapter_config.json of PEFT. A key without a default is required.</summary>
/// <param name="PeftType">Only "LORA" is run.</param>
/// <param name="R">Rank.</param>
/// <param name="LoraAlpha">Numerator of the scale.</param>
/// <param name="TargetModules">Names of modules, or one regular expression over whole module paths.</param>
/// <param name="UseRslora">Whether the scale is alpha / sqrt(r) (arXiv:2312.03732) instead of alpha / r.</param>
/// <param name="RankPattern">Ranks of single modules, by name or regular expression.</param>
/// <param name="AlphaPattern">Alphas of single modules, by name or regular expression.</param>
internal sealed record LoraConfig(
    string PeftType, int R, double LoraAlpha, JsonElement TargetModules, bool UseRslora = false,
    Dictionary<string, int>? RankPattern = null, Dictionary<string, double>? AlphaPattern = null)
{
    // A pattern of a hostile file must not run for ever.
    static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);

    /// <summary>Everything else, where a setting that changes the arithmetic may be.</summary>
    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Others { get; set; }

    /// <summary>Settings that make an adapter something else than <c>W + scale · B A</c>, and the value that leaves it that.</summary>
    static readonly (string Key, string Neutral)[] s_neutral =
    [
        ("bias", "\"none\""), ("use_dora", "false"), ("fan_in_fan_out", "false"), ("lora_bias", "false"), ("use_qalora", "false"),
        ("use_bdlora", "false"), ("modules_to_save", "null"), ("layer_replication", "null"), ("layers_to_transform", "null"),
        ("target_parameters", "null"), ("trainable_token_indices", "null"), ("exclude_modules", "null"), ("alora_invocation_tokens", "null"),
        ("arrow_config", "null"), ("megatron_config", "null"),
    ];

    /// <exception cref="CheckpointException">
    /// The adapter is of a kind that this library does not merge, or a number makes no sense, or what names its modules is no name.
    /// </exception>
    public void Check()
    {
        if (PeftType != "LORA")
            throw Refused("peft_type", $"\"{PeftType}\"", "\"LORA\"");
        foreach (var (key, neutral) in s_neutral)
            if (Others?.TryGetValue(key, out var value) == true && value.GetRawText() is var text
                && text != neutral && text is not ("null" or "[]" or "{}"))
                throw Refused(key, text, neutral);
        CheckTargets();
        foreach (int rank in (IEnumerable<int>)[R, .. (RankPattern ?? []).Values])
            if (rank is < 1 or > 1 << 16)
                throw new CheckpointException($"{LoraAdapter.ConfigFile}: a rank is {rank}, but it must lie between 1 and 65536. {Fault.FetchAgain}");
    }

    /// <summary>Whether the adapter was trained for this module: its last name, or its end, is in the list, or the expression matches all of it.</summary>
    public bool Targets(string module) => TargetModules.ValueKind == JsonValueKind.String
        ? IsMatch(module, TargetModules.GetString()!)
        : TargetModules.EnumerateArray().Select(name => name.GetString()).Any(
            name => module == name || module.EndsWith($".{name}", StringComparison.Ordinal));

    void CheckTargets()
    {
        if (TargetModules.ValueKind == JsonValueKind.String)
            return;
        if (TargetModules.ValueKind != JsonValueKind.Array)
            throw new CheckpointException($"{LoraAdapter.ConfigFile}: target_modules is neither a list of names nor a regular expression. {Fault.FetchAgain}");
        foreach (var (i, name) in TargetModules.EnumerateArray().Index())
            if (name.ValueKind != JsonValueKind.String)
                throw new CheckpointException(
                    $"{LoraAdapter.ConfigFile}: target_modules[{i}] is {Fault.Quote(name.GetRawText())}, but must be the name of a module. {Fault.FetchAgain}");
    }

    public int Rank(string module) => Pattern(RankPattern, module, out int rank) ? rank : R;

    /// <summary>The factor on <c>B A</c>.</summary>
    public float Scale(string module)
    {
        double alpha = Pattern(AlphaPattern, module, out double own) ? own : LoraAlpha, rank = Rank(module);
        return (float)(alpha / (UseRslora ? Math.Sqrt(rank) : rank));
    }

    /// <summary>The first key that is the module's name or the end of its path (PEFT's get_pattern_key).</summary>
    static bool Pattern<T>(Dictionary<string, T>? patterns, string module, out T value)
    {
        foreach (var (key, own) in patterns ?? [])
            if (IsMatch(module, $@"(.*\.)?({key})"))
            {
                value = own;
                return true;
            }
        value = default!;
        return false;
    }

    static bool IsMatch(string module, string pattern)
    {
        try
        {
            return Regex.IsMatch(module, $@"\A(?:{pattern})\z", RegexOptions.CultureInvariant, s_patience);
        }
        catch (Exception e) when (e is ArgumentException or RegexMatchTimeoutException)
        {
            throw new CheckpointException(
                $"{LoraAdapter.ConfigFile}: {Fault.Quote(pattern)} cannot be used as a regular expression. {e.Message}", e);
        }
    }

    static CheckpointException Refused(string key, string value, string supported) => new(
        $"{LoraAdapter.ConfigFile}: {key} is {value}, which this library does not merge: only {supported}. "
        + "Merge the adapter into its base in Python (merge_and_unload) and load the result.");
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(LoraConfig))]
internal sealed partial class LoraJson : JsonSerializerContext;
