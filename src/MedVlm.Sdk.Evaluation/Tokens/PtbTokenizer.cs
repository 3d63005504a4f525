namespace MedVlm.Evaluation.Tokens;

/// <summary>The Penn Treebank tokens of a caption, in lower case, as the tokenizer of COCO's caption evaluation has them.</summary>
/// <remarks>
/// Written from goldens/components/metrics: the section "COCO tokenisation" of notes.md and the lines of ptb.jsonl, which it meets.
/// At each place the longest of a few shapes (<see cref="PtbShapes"/>) is the next token; what is no word and no number stands alone
/// (<see cref="PtbSymbols"/>). Characters beyond the basic plane, control characters and the like are dropped.
/// </remarks>
internal static class PtbTokenizer
{
    /// <summary>The tokens as texts.</summary>
    /// <param name="caption">The text. Line breaks are white space like any other.</param>
    /// <param name="following">The next line that is not blank: an abbreviation at the end of the caption looks at its first word.</param>
    public static List<string> Tokenize(string caption, string following = "")
    {
        var list = new TokenList();
        Tokenize(caption, following, list);
        return list.Tokens;
    }

    /// <summary>The same, into a sink.</summary>
    public static void Tokenize(string caption, string following, TokenSink sink)
    {
        bool mayHoldMail = caption.Contains('@');
        for (int at = 0; at < caption.Length;)
        {
            char c = caption[at];
            if (char.IsWhiteSpace(c))
                at++;
            else if (char.IsAsciiDigit(c) && PtbShapes.MixedFraction(caption, at) is > 0 and var fraction)
                at += AddMixedFraction(caption.AsSpan(at, fraction), sink);
            else if (Address(caption, at, mayHoldMail) is > 0 and var address)
                at += Add(caption.AsSpan(at, address), sink);
            else
            {
                // 9mm is a word; of 14.5mm the number is longer than the word 14.
                int word = PtbShapes.Word(caption, at), number = PtbShapes.Number(caption, at);
                at += number > 0 && number >= word ? Add(caption.AsSpan(at, number), sink)
                    : word > 0 ? AddWord(caption, at, word, following, sink)
                    : PtbClitics.Add(caption, at, sink) is > 0 and var clitic ? clitic
                    : PtbSymbols.Add(caption, at, sink);
            }
        }
    }

    /// <summary>The length of what stays whole with its punctuation: web and mail addresses, XML tags, @names.</summary>
    static int Address(string text, int at, bool mayHoldMail)
    {
        char c = text[at];
        if (c == '<')
            return PtbShapes.Tag(text, at);
        if (c == '@')
            return PtbShapes.AtName(text, at);
        if (!char.IsAsciiLetterOrDigit(c))
            return 0;
        int url = PtbShapes.Url(text, at);
        return url > 0 || !mayHoldMail ? url : PtbShapes.Mail(text, at);
    }

    static int AddWord(string text, int at, int length, string following, TokenSink sink)
    {
        int end = at + length;
        var word = text.AsSpan(at, length);

        // The point of an abbreviation belongs to it, but not the first of several.
        if (end < text.Length && text[end] == '.' && !(end + 1 < text.Length && text[end + 1] == '.'))
        {
            var point = end + 1 < text.Length && text[end + 1] is ',' or ':' or ';'
                ? PtbAbbreviations.PointBeforeComma(word)
                : PtbAbbreviations.PointAfter(word, NextWord(text, end + 1, following));
            if (point != Point.Apart)
            {
                Add(text.AsSpan(at, length + 1), sink);
                if (point == Point.KeptAndSecond)
                    sink.Add(".");
                return length + 1;
            }
        }

        if (PtbClitics.IsNot(word))
            sink.Add("n't");
        else if (PtbClitics.SecondWord(word) is > 0 and var second)
        {
            Add(word[..second], sink);
            Add(word[second..], sink);
        }
        else
            Add(word, sink);
        return length;
    }

    /// <summary>The word behind a point, with its own point if it has one: <c>A.</c> is an initial, <c>A</c> an article.</summary>
    static ReadOnlySpan<char> NextWord(string text, int at, string following)
    {
        var rest = text.AsSpan(at).TrimStart();
        if (rest.IsEmpty)
            rest = following.AsSpan().TrimStart();
        int length = 0;
        while (length < rest.Length && PtbShapes.IsWordCharacter(rest[length]))
            length++;
        if (length > 0 && length < rest.Length && rest[length] == '.')
            length++;
        return rest[..length];
    }

    /// <summary>One token, in which a space that does not break stands between number and fraction.</summary>
    static int AddMixedFraction(ReadOnlySpan<char> fraction, TokenSink sink)
    {
        Span<char> token = stackalloc char[PtbShapes.MaxMixedFraction];
        fraction.CopyTo(token);
        token[fraction.IndexOfAnyExcept(PtbShapes.Digits)] = '\u00A0';
        sink.Add(token[..fraction.Length]);
        return fraction.Length;
    }

    static int Add(ReadOnlySpan<char> token, TokenSink sink)
    {
        FullCase.ToLower(token, sink);
        return token.Length;
    }
}
