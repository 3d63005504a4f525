using MedVlm.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

/// <summary>How added tokens are found in text. Expected values follow from find_matches in Hugging Face's tokenizers.</summary>
public sealed class AddedTokensTests
{
    static readonly AddedTokens Tokens = new(
    [
        Token(1, "<a>"), Token(2, "<a><b>"), Token(3, "<b>"),
        Token(4, "<l>") with { StripLeft = true }, Token(5, "<r>") with { StripRight = true }, Token(6, "word") with { SingleWord = true },
        Token(7, "  ") with { Special = false }, Token(8, "    ") with { Special = false }, Token(9, "</s>") with { Special = false },
    ]);

    [Theory]
    [InlineData("", "")]
    [InlineData("no token", "no token")]
    [InlineData("x<b>y<a>", "x|3|y|1")]
    [InlineData("<a><b><a>", "2|1")]                        // the longest of those that begin leftmost
    [InlineData("<<a>", "<|1")]
    [InlineData("x \n<l> y", "x|4| y")]
    [InlineData("x <r>\u00A0\n y", "x |5|y")]
    [InlineData("<r> <l>", "5|4")]
    [InlineData("a word, swords words", "a |6|, swords words")]
    [InlineData("a_word éword word", "a_word éword |6")]
    [InlineData("a     b", "a|8| b")]
    [InlineData("a      b", "a|8|7|b")]
    public void Leftmost_and_longest_with_the_flags_of_each(string text, string pieces) =>
        Assert.Equal(pieces, Show(text, Tokens.Split(text, default)));

    [Theory]
    [InlineData("<a>[<a>]<a>", "1|<a>|1")]
    [InlineData("<a[>]<b>", "<a>|3")]                       // a token that the user's text completes is none
    [InlineData("<a>[<b>]", "1|<b>")]                       // the template's own token stands
    [InlineData("[<a><b>]", "<a><b>")]
    [InlineData("[</s>]", "</s>")]                          // no control token by name, but by what it does
    [InlineData("x [ y  z] ", "x|7|y|7|z ")]                // runs of blanks are text
    [InlineData("[]<a>", "1")]
    public void In_what_the_user_wrote_only_blanks_are_found(string marked, string pieces)
    {
        var (start, end) = (marked.IndexOf('['), marked.IndexOf(']') - 1);
        var text = marked.Replace("[", "").Replace("]", "");

        Assert.Equal(pieces, Show(text, Tokens.Split(text, new PlainText(start, end))));
    }

    static AddedToken Token(int id, string content) =>
        new(id, content, Special: true, Normalized: false, StripLeft: false, StripRight: false, SingleWord: false);

    static string Show(string text, List<Piece> pieces) =>
        string.Join('|', pieces.Select(piece => piece.TokenId?.ToString() ?? text[piece.Start..piece.End]));
}
