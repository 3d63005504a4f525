using System.Collections.Frozen;

namespace MedVlm.Evaluation.Tokens;

/// <summary>Penn Treebank tokens without the punctuation that COCO's caption evaluation drops.</summary>
/// <remarks>Its list has the brackets in capitals (-LRB-) and the tokens are in lower case, so that brackets stay: published values count them.</remarks>
internal sealed class CocoWords : TextTokens
{
    static readonly FrozenSet<string>.AlternateLookup<ReadOnlySpan<char>> s_punctuation = FrozenSet.Create(
        StringComparer.Ordinal, "''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";").GetAlternateLookup<ReadOnlySpan<char>>();

    public override void Split(string text, TokenSink into) => PtbTokenizer.Tokenize(text, "", new Filter(into));

    sealed class Filter(TokenSink into) : TokenSink
    {
        public override void Add(ReadOnlySpan<char> token)
        {
            if (!s_punctuation.Contains(token))
                into.Add(token);
        }
    }
}
