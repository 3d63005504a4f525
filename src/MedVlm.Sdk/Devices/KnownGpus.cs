using System.Globalization;
using System.Text.RegularExpressions;

namespace MedVlm.Devices;

/// <summary>Common NVIDIA cards by name, to plan for one that is not in this machine.</summary>
internal static partial class KnownGpus
{
    // An RTX 5080 of 16 GB reports 16,303 MiB to nvidia-smi: the driver keeps a part for page tables and error correction. Of what is
    // reported, an idle card without a screen has some 400 MiB less free.
    const long GB = 1L << 30, Unreported = 81L << 20, IdleUse = 400L << 20;

    /// <summary>Name, memory in GB, compute capability. Where a card was sold in several sizes, the smaller first.</summary>
    static readonly (string Name, int[] MemoryGB, string Capability)[] s_cards =
    [
        ("RTX 5090", [32], "12.0"), ("RTX 5080", [16], "12.0"), ("RTX 5070 Ti", [16], "12.0"), ("RTX 5070", [12], "12.0"),
        ("RTX 5060 Ti", [8, 16], "12.0"), ("RTX 5060", [8], "12.0"),
        ("RTX 4090", [24], "8.9"), ("RTX 4080 SUPER", [16], "8.9"), ("RTX 4080", [16], "8.9"), ("RTX 4070 Ti SUPER", [16], "8.9"),
        ("RTX 4070 Ti", [12], "8.9"), ("RTX 4070", [12], "8.9"), ("RTX 4060 Ti", [8, 16], "8.9"), ("RTX 4060", [8], "8.9"),
        ("RTX 3090", [24], "8.6"), ("RTX 3080", [10, 12], "8.6"), ("RTX 3070", [8], "8.6"), ("RTX 3060", [12, 8], "8.6"),
        ("RTX A6000", [48], "8.6"), ("RTX 6000 Ada", [48], "8.9"), ("L4", [24], "8.9"), ("L40S", [48], "8.9"), ("T4", [16], "7.5"),
        ("A10", [24], "8.6"), ("A100", [40, 80], "8.0"), ("H100", [80], "9.0"), ("H200", [141], "9.0"),
    ];

    /// <inheritdoc cref="ComputeDevice.Parse"/>
    public static ComputeDevice Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var amount = Amount().Match(text);
        int? memory = amount.Success ? int.Parse(amount.Groups["gb"].ValueSpan, CultureInfo.InvariantCulture) : null;
        var name = Words(amount.Success ? text[..amount.Index] + text[(amount.Index + amount.Length)..] : text);
        foreach (var vendor in (string[])["NVIDIA ", "GeForce "])
            if (name.StartsWith(vendor, StringComparison.OrdinalIgnoreCase))
                name = name[vendor.Length..];

        if (name.Length == 0 && memory is { } gigabytes)
            return Device($"GPU with {gigabytes} GB", gigabytes, "8.0");

        foreach (var card in s_cards)
            if (card.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
                return memory is null || card.MemoryGB.Contains(memory.Value)
                    ? Device($"{card.Name} {memory ?? card.MemoryGB[0]}GB", memory ?? card.MemoryGB[0], card.Capability)
                    : throw new ArgumentException(
                        $"\"{text}\": the {card.Name} has {string.Join(" or ", card.MemoryGB)} GB. Give that, or the number of GB alone.", nameof(text));

        throw new ArgumentException(
            $"\"{text}\" is no card that is known here. Give the number of GB of its memory, as \"16\", or one of: "
            + $"{string.Join(", ", s_cards.Select(card => card.Name))}.", nameof(text));
    }

    static ComputeDevice Device(string name, int memoryGB, string capability) =>
        new(DeviceKind.Cuda, name, memoryGB * GB - Unreported, memoryGB * GB - Unreported - IdleUse) { ComputeCapability = Version.Parse(capability) };

    static string Words(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    /// <summary>"16GB", "16 GiB", "16" as a word at the end; not the 5080 of a name.</summary>
    [GeneratedRegex(@"(?<![\w.])(?<gb>[1-9][0-9]{0,2})\s*(?:GB|GiB|G)?\s*$", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Amount();
}
