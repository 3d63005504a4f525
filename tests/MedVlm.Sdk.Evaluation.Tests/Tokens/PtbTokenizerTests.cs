using CsCheck;
using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation.Tests.Tokens;

public sealed class PtbTokenizerTests
{
    public static TheoryData<string> Sets => MetricGoldens.Sets;

    [Theory, MemberData(nameof(Sets))]
    [Trait("Category", "Golden")]
    public void Every_line_has_the_tokens_of_the_reference(string set)
    {
        // The reference read the file as a whole: an abbreviation at the end of a line looks at the next.
        var lines = MetricGoldens.Get(set).PtbLines;
        var faults = lines.Select((line, i) =>
        {
            var following = lines.Skip(i + 1).FirstOrDefault(next => !string.IsNullOrWhiteSpace(next.Text))?.Text.Replace('\n', ' ') ?? "";
            var tokens = PtbTokenizer.Tokenize(line.Text, following);
            return tokens.SequenceEqual(line.Tokens) ? null : $"{line.Text}\n  expected {string.Join(' ', line.Tokens)}\n  actual   {string.Join(' ', tokens)}";
        }).OfType<string>().ToList();

        Assert.True(faults.Count == 0, $"{faults.Count} of {lines.Count} lines differ\n{string.Join('\n', faults)}");
    }

    // What notes and lines do not tell: our choice, so that it does not change unseen.
    [Theory]
    [InlineData("", "")]
    [InlineData(" \t ", "")]
    [InlineData("see A.", "see a.")]
    [InlineData("type B. The end", "type b . the end")]
    [InlineData("by J. A. Smith. A lesion", "by j. a. smith . a lesion")]  // an initial, an article
    [InlineData("İstanbul ΟΔΟΣ", "i̇stanbul οδος")]
    [InlineData("1 1/2 cm", "1\u00A01/2 cm")]                    // one token, with a space that does not break
    [InlineData("1\n1/2 cm", "1\u00A01/2 cm")]
    [InlineData("a\uD83D\uDE00b \u0001", "a b")]                  // what no rule knows is dropped
    [InlineData("two\nlines", "two lines")]
    [InlineData("bird's-eye view of the birds' eyes", "bird's-eye view of the birds ' eyes")]
    [InlineData("it’s O'Brien's, isn’t it", "it 's o'brien 's , is n't it")]
    [InlineData("p<.05, p=0.05, b=-5", "p < .05 , p = 0.05 , b = -5")]
    [InlineData("pre- and post-contrast 1.5-T MRI", "pre - and post-contrast 1.5 - t mri")]
    [InlineData("H&amp;E, H&E &lt;x", "h & e , h&e < x")]
    [InlineData("Mail a.b@c.org, www.c.org/x?y=1.", "mail a.b@c.org , www.c.org/x?y=1 .")]
    [InlineData("a <b>bold</b> claim if b <c", "a <b> bold </b> claim if b < c")]
    public void A_caption_has_these_tokens(string caption, string tokens) =>
        Assert.Equal(tokens, string.Join(' ', PtbTokenizer.Tokenize(caption)));

    // Nothing may be read again and again: a text of 200,000 characters takes a fraction of a second, or hours of quadratic time.
    [Theory]
    [InlineData("a,"), InlineData("a."), InlineData("a-"), InlineData("a/"), InlineData("a'"), InlineData("n't"), InlineData("A&"), InlineData("a@")]
    [InlineData("1"), InlineData("1 "), InlineData("1/"), InlineData("1,x"), InlineData("+1"), InlineData("'"), InlineData("`"), InlineData("\""), InlineData("..,")]
    [InlineData("<a"), InlineData("@"), InlineData("&amp"), InlineData("www."), InlineData("http://."), InlineData("http://("), InlineData("Σ"), InlineData("etc. ")]
    public void A_long_text_takes_no_longer_than_its_length_asks_for(string part)
    {
        var text = string.Concat(Enumerable.Repeat(part, 200_000 / part.Length));
        var tokens = PtbTokenizer.Tokenize(text);
        Assert.InRange(tokens.Sum(token => token.Length), 1, 2 * text.Length);
    }

    static readonly string[] s_pieces =
    [
        " ", " ", " ", "CT", "a", "x-ray", "C3/C4", "M.S", "Dr.", "U.S.", "fig.", "no.", "etc.", "The", "don't", "it’s", "'s", "cannot", "5", "1/2", "1,000.5", "-3",
        "x@y.org", "http://", "www.", "<b>", "&amp;", "US$", "A&B", ".", "..", ",", "'", "\"", "“", "(", "]", "-", "–", "%", "²", "½", "\u2010", "\u00A0", "\n", "İ", "ΣΑΣ", "é",
    ];

    static readonly Gen<string> s_text = Gen.OneOf(Gen.Int[0, s_pieces.Length - 1].Select(i => s_pieces[i]), Gen.String[Gen.Char, 0, 3])
        .Array[0, 14].Select(string.Concat);

    [Fact]
    public void Tokens_of_any_text_are_in_lower_case_and_hold_no_white_space_but_that_of_mixed_fractions() => s_text.Sample(text =>
    {
        foreach (var token in PtbTokenizer.Tokenize(text))
        {
            Assert.NotEmpty(token);
            Assert.Equal(FullCase.ToLower(token), token);
            if (token.Any(char.IsWhiteSpace))
                Assert.Matches(@"^[0-9]+\u00A0[0-9]+/[0-9]+$", token);
        }
    }, iter: 20_000);

    [Fact]
    public void Lines_are_split_by_themselves_but_for_the_look_at_the_line_that_follows() => Gen.Select(s_text, s_text).Sample((first, second) =>
        Assert.Equal([.. PtbTokenizer.Tokenize(first, second), .. PtbTokenizer.Tokenize(second)], PtbTokenizer.Tokenize($"{first}\t{second}")), iter: 20_000);

    // Points, hyphens and quotes may be written otherwise, and a sentence's end may bring a point.
    [Fact]
    public void Letters_and_digits_are_neither_lost_nor_added() => Gen.String[Gen.Char["abnstTE019.,:;/%=' -+?!"], 0, 40].Sample(text =>
        Assert.Equal(Plain(text.ToLowerInvariant()), Plain(string.Concat(PtbTokenizer.Tokenize(text)))), iter: 20_000);

    static string Plain(string text) => string.Concat(text.Where(char.IsAsciiLetterOrDigit));
}
