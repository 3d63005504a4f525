using MedVlm.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

/// <summary>Ids, decoded text and streamed pieces of real tokenizers, as the reference gives them.</summary>
[Trait("Category", "Golden")]
public sealed class TokenizerGoldenTests
{
    static string Folder => Path.Combine(TestFolders.Goldens, "components", "tokenizers");

    static string[] Files => Directory.Exists(Folder) ? Directory.GetFiles(Folder, "*.jsonl") : [];

    // One row for each family on disk.
    public static TheoryData<string> Families => [.. Files.Select(path => Path.GetFileNameWithoutExtension(path)).Order()];

    [Theory(SkipTestWithoutData = true), MemberData(nameof(Families))]
    public void Every_line_has_the_ids_text_and_pieces_of_the_reference(string family) =>
        Check(family, TestFolders.Shared("tokenizers", family, "tokenizer.json") is null ? "tokenizer.model" : "tokenizer.json");

    [Fact]
    public void A_vocab_txt_gives_the_same() => Check("blip", "vocab.txt");

    static void Check(string family, string file)
    {
        var path = TestFolders.Shared("tokenizers", family, file);
        Assert.SkipWhen(path is null, $"The {file} of {family} is third-party and not beside this checkout.");
        var tokenizer = Tokenizer.Load(path!);

        var lines = GoldenLine.Read(Path.Combine(Folder, family + ".jsonl"));
        var faults = lines.SelectMany((line, index) => line.Faults(tokenizer).Select(fault => $"line {index + 1}: {fault}")).ToList();

        Assert.True(faults.Count == 0, $"{faults.Count} faults in {lines.Count} lines of {family}\n{string.Join('\n', faults)}");
        TestContext.Current.TestOutputHelper?.WriteLine($"{family}: {lines.Count} lines");
    }
}
