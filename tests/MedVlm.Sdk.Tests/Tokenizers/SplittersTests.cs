using System.Text.RegularExpressions;
using CsCheck;
using MedVlm.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

/// <summary>The words that pre-tokenizers cut. Expected values follow from the patterns, read over code points.</summary>
public sealed class SplittersTests
{
    [Theory]
    [InlineData("It's we'll I'd", "It", "'s", " we", "'ll", " I", "'d")]
    [InlineData("IT'S", "IT", "'", "S")]                                  // contractions in lower case only
    [InlineData("a  b", "a", " ", " b")]
    [InlineData("a \n b", "a", " \n", " b")]
    [InlineData("tail  ", "tail", "  ")]
    [InlineData("5 mm (T2)", "5", " mm", " (", "T", "2", ")")]
    [InlineData("x\u0085y\u00A0z", "x", "\u0085", "y", "\u00A0", "z")]    // White_Space
    [InlineData("x\u200By\u001Cz", "x", "\u200B", "y", "\u001C", "z")]    // no White_Space
    [InlineData("a𠀀𝕏 𝟛²", "a𠀀𝕏", " 𝟛²")]                                 // letters and numbers above U+FFFF
    [InlineData("🫁🫁?", "🫁🫁?")]
    public void Gpt2(string text, params string[] words) => Assert.Equal(words, Words(Splitters.Gpt2, text));

    [Theory]
    [InlineData("It's IT'S it'ſ we'LL", "It", "'s", " IT", "'S", " it", "'ſ", " we", "'LL")]
    [InlineData("it'x", "it", "'x")]
    [InlineData("12 ½", "1", "2", " ", "½")]
    [InlineData("\"ab\tcd", "\"ab", "\tcd")]                              // one other character goes with the word
    [InlineData("end.\n\nNext", "end", ".\n\n", "Next")]
    [InlineData("a \r\n  \n  b", "a", " \r\n  \n", " ", " b")]
    [InlineData("a   b", "a", "  ", " b")]
    [InlineData("tail  ", "tail", "  ")]
    [InlineData("a\u0085\u3000b", "a", "\u0085", "\u3000b")]
    [InlineData("𝕏𠀀 🫁𠀀𝟛", "𝕏𠀀", " 🫁", "𠀀", "𝟛")]
    public void Qwen2(string text, params string[] words) => Assert.Equal(words, Words(Splitters.Qwen2, text));

    [Theory]
    [InlineData("T12345 x²½𝟛𝟛.", "T", "123", "45", " x", "²½𝟛", "𝟛", ".")]
    public void Digit_groups(string text, params string[] words) => Assert.Equal(words, Words(Splitters.DigitGroups, text));

    [Theory]
    [InlineData("T12 x²½𝟛.", "T", "1", "2", " x", "²", "½", "𝟛", ".")]
    public void Individual_digits(string text, params string[] words) => Assert.Equal(words, Words(Splitters.IndividualDigits, text));

    [Theory]
    [InlineData("T12 x²½𝟛.", "T", "12", " x", "²½𝟛", ".")]
    public void Runs_of_digits(string text, params string[] words) => Assert.Equal(words, Words(Splitters.DigitRuns, text));

    // .NET's Regex is right below U+10000, but for the long s.
    [Theory]
    [InlineData(Splitters.Gpt2Pattern)]
    [InlineData(Splitters.Qwen2Pattern)]
    public void Below_U10000_words_are_those_of_the_regular_expression(string pattern)
    {
        var regex = new Regex(pattern, RegexOptions.CultureInvariant);
        var letter = Gen.OneOf(
            Gen.Char["aZsStTrevmld''''  \t\r\n\n.<>-09½é字あ\u0301\u0085\u00A0\u2028\u3000\u200B\u001C"],
            Gen.Char.Where(c => !char.IsSurrogate(c) && c != 'ſ'));

        letter.Array[0, 40].Select(chars => new string(chars)).Sample(
            text => Assert.Equal(regex.Matches(text).Select(match => match.Value), Words(Splitters.ForPattern(pattern)!, text)),
            iter: 20_000);
    }

    static List<string> Words(Splitter splitter, string text)
    {
        var words = new List<string>();
        for (var start = 0; start < text.Length; start += words[^1].Length)
            words.Add(text.Substring(start, splitter(text.AsSpan(start))));
        return words;
    }
}
