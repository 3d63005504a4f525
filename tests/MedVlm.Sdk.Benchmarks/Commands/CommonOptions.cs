using MedVlm.Inference;

namespace MedVlm.Benchmarks.Commands;

/// <summary>Options that several commands share.</summary>
internal static class CommonOptions
{
    public static RuntimeSettings Runtime(this Arguments arguments) => new(arguments.Number("threads"), arguments.Text("profile"))
    {
        SessionEntries = [.. arguments.Texts("session-entry").Select(text => text.Split('=', 2)).Select(parts => new KeyValuePair<string, string>(parts[0], parts[1]))],
    };

    public static int Threads(this Arguments arguments) => arguments.Number("threads") ?? Environment.ProcessorCount;
}
