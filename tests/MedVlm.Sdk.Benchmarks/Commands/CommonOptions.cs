using MedVlm.Inference;

namespace MedVlm.Benchmarks.Commands;

/// <summary>Options that several commands share.</summary>
internal static class CommonOptions
{
    public static RuntimeSettings Runtime(this Arguments arguments) => new(arguments.Number("threads"), arguments.Text("profile"))
    {
        Precision = arguments.Precision(),
        SessionEntries = [.. arguments.Texts("session-entry").Select(text => text.Split('=', 2)).Select(parts => new KeyValuePair<string, string>(parts[0], parts[1]))],
    };

    /// <summary>--precision fp32, int8 or int4.</summary>
    public static Precision Precision(this Arguments arguments) => arguments.Text("precision") is not { } text ? MedVlm.Precision.Fp32
        : Enum.TryParse<Precision>(text, ignoreCase: true, out var precision) && precision != MedVlm.Precision.Auto ? precision
        : throw new UsageException($"--precision is fp32, int8 or int4, not \"{text}\".");

    /// <summary>The same as measurements name it.</summary>
    public static string PrecisionName(this Arguments arguments) => arguments.Precision().ToString().ToLowerInvariant();

    public static int Threads(this Arguments arguments) => arguments.Number("threads") ?? Environment.ProcessorCount;
}
