using System.Globalization;

namespace MedVlm.Benchmarks;

/// <summary>A command line: words, and options of the form <c>--name value</c> or <c>--flag</c>.</summary>
internal sealed class Arguments
{
    readonly Queue<string> _words = [];
    readonly Dictionary<string, List<string>> _options = [];

    public Arguments(IEnumerable<string> arguments, params string[] flags)
    {
        using var rest = arguments.GetEnumerator();
        while (rest.MoveNext())
        {
            if (!rest.Current.StartsWith("--", StringComparison.Ordinal))
            {
                _words.Enqueue(rest.Current);
                continue;
            }
            var name = rest.Current[2..];
            if (!_options.TryGetValue(name, out var values))
                _options.Add(name, values = []);
            if (!flags.Contains(name))
                values.Add(rest.MoveNext() ? rest.Current : throw new UsageException($"--{name} wants a value."));
        }
    }

    /// <summary>The next word.</summary>
    public string Word(string what) => _words.TryDequeue(out var word) ? word : throw new UsageException($"Missing: <{what}>.");

    public bool Has(string option) => _options.ContainsKey(option);

    public string? Text(string option) => _options.GetValueOrDefault(option)?[^1];

    /// <summary>All values of an option that may be given more than once.</summary>
    public IReadOnlyList<string> Texts(string option) => _options.GetValueOrDefault(option) ?? [];

    public int? Number(string option) => Text(option) is { } text
        ? int.TryParse(text, CultureInfo.InvariantCulture, out int number) ? number : throw new UsageException($"--{option} wants a number, not \"{text}\".")
        : null;

    /// <summary>Numbers with commas between them; "0" is none.</summary>
    public int[] Numbers(string option, params int[] otherwise) => Text(option) is { } text
        ? [.. text.Split(',').Select(part => int.Parse(part, CultureInfo.InvariantCulture)).Where(number => number > 0)]
        : otherwise;
}
