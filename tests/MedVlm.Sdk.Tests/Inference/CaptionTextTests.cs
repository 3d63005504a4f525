using CsCheck;
using MedVlm.Inference;
using MedVlm.Tokenizers;

namespace MedVlm.Tests.Inference;

public sealed class CaptionTextTests
{
    static readonly Tokenizer s_tokenizer = Tokenizer.Load(Path.Combine(TestFolders.TinyModel, "tokenizer.json"));

    static (string Pieces, string Text, bool Stopped) Write(string text, params string[] stops)
    {
        var caption = new CaptionText(new StreamingDetokenizer(s_tokenizer), stops);
        var pieces = "";
        foreach (int id in s_tokenizer.Encode(text, ..text.Length))
        {
            pieces += caption.Add(id);
            if (caption.Stopped)
                break;
        }
        return (pieces + caption.Finish(), caption.Text, caption.Stopped);
    }

    [Theory]
    [InlineData("  Chest radiograph. \n", "", "Chest radiograph.")]
    [InlineData("one two three", "two", "one")]
    [InlineData("one two three", "three|two", "one")]        // the first in the text, not in the list
    [InlineData("one two three", "wo thr|two", "one")]       // the first to be complete
    [InlineData("one two three", "o three| two three", "one")]
    [InlineData("one two thr", "three", "one two thr")]      // begun, but never finished
    [InlineData("aaab", "aab", "a")]
    [InlineData("Größe 胸部 🩻.", "🩻", "Größe 胸部")]
    [InlineData("all", "all", "")]
    [InlineData("   ", "", "")]
    public void Cuts_at_the_first_stop_sequence_and_trims(string text, string stops, string expected)
    {
        var (pieces, whole, stopped) = Write(text, stops.Split('|', StringSplitOptions.RemoveEmptyEntries));

        Assert.Equal(expected, whole);
        Assert.Equal(expected, pieces);
        Assert.Equal(stops.Split('|', StringSplitOptions.RemoveEmptyEntries).Any(text.Contains), stopped);
    }

    [Fact]
    public void Pieces_joined_are_the_text_cut_at_the_first_stop_sequence() =>
        Gen.Select(Gen.String[Gen.Char["ab \n"], 0, 40], Gen.String[Gen.Char["ab"], 1, 3].Array[0, 3]).Sample((text, stops) =>
        {
            // Letter by letter: the text ends where a stop sequence is complete for the first time.
            int end = text.Length;
            for (int length = 0; length <= text.Length && end == text.Length; length++)
                if (stops.Where(stop => text[..length].EndsWith(stop, StringComparison.Ordinal)).MaxBy(stop => stop.Length) is { } stop)
                    end = length - stop.Length;
            var (pieces, whole, _) = Write(text, stops);
            Assert.Equal(text[..end].Trim(), whole);
            Assert.Equal(whole, pieces);
        }, iter: 500);
}
