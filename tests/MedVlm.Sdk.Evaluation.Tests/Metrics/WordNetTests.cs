using System.Text;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Evaluation.Tests.Metrics;

/// <summary>The reader of WordNet's files, on a dictionary of our own in their format.</summary>
public sealed class WordNetTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public WordNetTests()
    {
        Write("noun", ["mass 02 lump mass tumour_mass", "lump 01 lump", "man 01 man adult_male", "box 01 box"], "men man\noxen ox\n");
        Write("verb", ["show 01 show demonstrate", "demonstrate 01 show demonstrate"], "shown show\n");
        Write("adj", ["large 01 large(a) big(p) Grand", "big 01 large(a) big(p) Grand"], "");
        Write("adv", ["well 01 well good"], "best well\n");
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("mass", "lump mass")]
    [InlineData("masses", "lump mass masses")]             // ses becomes s
    [InlineData("boxes", "box boxes")]                     // xes becomes x
    [InlineData("boxess", "boxess")]                       // a rule is applied once
    [InlineData("showing", "demonstrate show showing")]
    [InlineData("shown", "demonstrate show shown")]        // irregular
    [InlineData("men", "man men")]                         // men becomes man; words of several words are left out
    [InlineData("larger", "Grand big large larger")]       // names keep capitals, places of adjectives are cut off
    [InlineData("best", "best good well")]
    [InlineData("unknown", "unknown")]
    [InlineData("", "")]
    [InlineData("two words", "two words")]
    public void Synonyms_are_those_of_all_parts_of_speech_and_the_word(string word, string synonyms) =>
        Assert.Equal(synonyms, string.Join(' ', WordNet.Open(_folder.Path).Synonyms(word).Order(StringComparer.Ordinal)));

    [Fact]
    public void A_missing_file_is_named()
    {
        File.Delete(_folder.File("adv.exc"));
        var error = Assert.Throws<EvaluationDataException>(() => WordNet.Open(_folder.Path));
        Assert.StartsWith($"WordNet cannot be read from {_folder.Path}: ", error.Message);
        Assert.EndsWith("(index.noun, data.noun, noun.exc, and the same of verb, adj and adv).", error.Message);
    }

    [Fact]
    public void A_file_that_may_not_be_read_is_a_fault_of_the_data()
    {
        File.Delete(_folder.File("adv.exc"));
        Directory.CreateDirectory(_folder.File("adv.exc"));   // opening a folder as a file is refused as a file without rights is
        Assert.StartsWith($"WordNet cannot be read from {_folder.Path}: ", Assert.Throws<EvaluationDataException>(() => WordNet.Open(_folder.Path)).Message);
    }

    [Fact]
    public async Task Damage_that_a_metric_meets_is_a_fault_of_the_data()
    {
        File.WriteAllText(_folder.File("data.noun"), "");
        CaptionPair[] pairs = [.. Enumerable.Range(0, 50).Select(i => new CaptionPair($"{i}", ["lump"], "mass"))];
        await Assert.ThrowsAsync<EvaluationDataException>(async () => await new Meteor(WordNet.Open(_folder.Path)).ScoreAsync(pairs, TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("7fffffff")]
    [InlineData("80000003")]
    [InlineData("ffffffff")]
    [InlineData("003")]
    [InlineData("3")]
    [InlineData("ff")]
    public void A_number_of_words_is_two_hexadecimal_digits_and_as_many_words(string count)
    {
        var data = File.ReadAllText(_folder.File("data.noun"));
        Assert.Contains(" n 03 lump ", data);
        File.WriteAllText(_folder.File("data.noun"), data.Replace(" n 03 lump ", $" n {count} lump "));

        var error = Assert.Throws<EvaluationDataException>(() => WordNet.Open(_folder.Path).Synonyms("mass"));

        Assert.StartsWith($"{_folder.File("data.noun")} is damaged", error.Message);
    }

    [Fact]
    public void Damaged_files_give_only_faults_of_the_data()
    {
        byte[][] files = [File.ReadAllBytes(_folder.File("index.noun")), File.ReadAllBytes(_folder.File("data.noun")), File.ReadAllBytes(_folder.File("noun.exc"))];
        int tried = 0;
        foreach (var (name, bytes) in ((string, byte[])[])[("index.noun", files[0]), ("data.noun", files[1]), ("noun.exc", files[2])])
        {
            foreach (var damaged in Fuzz.Mutations(bytes).Take(150))
            {
                File.WriteAllBytes(_folder.File(name), damaged);
                var wordNet = WordNet.Open(_folder.Path);
                foreach (var word in (string[])["mass", "lumps", "men", "box", "oxen"])
                    try
                    {
                        Assert.Contains(word, wordNet.Synonyms(word));
                    }
                    catch (EvaluationDataException e)
                    {
                        Assert.EndsWith("is damaged, or not of the same WordNet as the files beside it. Take all files from one WordNet 3.0.", e.Message);
                    }
                tried++;
            }
            File.WriteAllBytes(_folder.File(name), bytes);
        }
        Assert.Equal(450, tried);
    }

    [Theory]
    [InlineData("tumor", "tumour", false)]
    [InlineData("picture", "image", false)]        // the stem of one is no word
    [InlineData("mass", "lump", true)]
    public async Task Meteor_matches_synonyms_by_their_stems(string candidate, string reference, bool match)
    {
        var scores = await new Meteor(WordNet.Open(_folder.Path)).ScoreAsync([new("a", [reference], candidate)], TestContext.Current.CancellationToken);
        Assert.Equal(match ? 0.5 : 0, scores[0].Corpus);
    }

    // entry: lemma, number of words as WordNet's two hexadecimal digits, words. The index is sorted, as WordNet's is.
    void Write(string part, string[] entries, string exceptions)
    {
        var (data, index) = (new StringBuilder("  1 A licence stands here, in lines that begin with spaces.\n"), new List<string>());
        foreach (var entry in entries)
        {
            var words = entry.Split(' ')[2..];
            index.Add($"{entry.Split(' ')[0]} n 1 1 @ 1 0 {data.Length:D8}  \n");
            data.Append($"{data.Length:D8} 06 n {words.Length:x2} {string.Concat(words.Select(word => $"{word} 0 "))}000 | a gloss\n");
        }
        _folder.Write($"index.{part}", "  1 A licence.\n" + string.Concat(index.Order(StringComparer.Ordinal)));
        _folder.Write($"data.{part}", data.ToString());
        _folder.Write($"{part}.exc", exceptions);
    }
}
