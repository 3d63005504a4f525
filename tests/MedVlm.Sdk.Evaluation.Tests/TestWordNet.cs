namespace MedVlm.Evaluation.Tests;

/// <summary>WordNet, where this machine has it.</summary>
internal static class TestWordNet
{
    static readonly Lazy<WordNet?> s_wordNet = new(() => WordNet.FindFolder() is { } folder && Directory.Exists(folder) ? WordNet.Open(folder) : null);

    public static WordNet Open()
    {
        Assert.SkipWhen(s_wordNet.Value is null, $"No WordNet here: install Debian's wordnet-base and wordnet-sense-index, or set {WordNet.FolderVariable}.");
        return s_wordNet.Value!;
    }
}
