namespace MedVlm.Evaluation.Tokens;

/// <summary>A way to split captions into tokens, which several metrics may share.</summary>
internal abstract class TextTokens
{
    /// <summary>COCO's words: Penn Treebank tokens without punctuation.</summary>
    public static readonly TextTokens Coco = new CocoWords();

    /// <summary>rouge_score's words: runs of a-z and 0-9.</summary>
    public static readonly TextTokens Rouge = new RougeWords();

    /// <summary>sacreBLEU's tokens, mteval's 13a.</summary>
    public static readonly TextTokens Sacre = new SacreTokens(lowerCase: false);

    /// <summary>The same of the text in lower case.</summary>
    public static readonly TextTokens SacreLowerCase = new SacreTokens(lowerCase: true);

    /// <summary>ROUGE's words of the text as ImageCLEF's scorer normalises it.</summary>
    public static readonly TextTokens ClefRouge = new ClefWords();

    public abstract void Split(string text, TokenSink into);

    /// <summary>The tokens as texts.</summary>
    public List<string> Split(string text)
    {
        var list = new TokenList();
        Split(text, list);
        return list.Tokens;
    }

    sealed class ClefWords : TextTokens
    {
        public override void Split(string text, TokenSink into) => Rouge.Split(ClefNormalization.Normalize(text), into);
    }
}
