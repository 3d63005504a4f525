namespace MedVlm.Evaluation.Tokens;

/// <summary>rouge_score's default tokens: the text in lower case, every run of other characters than a-z and 0-9 a border.</summary>
internal sealed class RougeWords : TextTokens
{
    public override void Split(string text, TokenSink into)
    {
        Span<char> word = stackalloc char[64];
        int length = 0;
        foreach (char c in text)
        {
            // Two characters beyond ASCII have a lower case within it: the Kelvin sign, and İ, whose dot is a character of its own then.
            char lower = c switch { >= 'A' and <= 'Z' => (char)(c | 0x20), '\u212A' => 'k', '\u0130' => 'i', _ => c };
            if (lower is >= 'a' and <= 'z' or >= '0' and <= '9')
            {
                if (length == word.Length)
                {
                    var longer = new char[2 * length];
                    word.CopyTo(longer);
                    word = longer;
                }
                word[length++] = lower;
                if (c != '\u0130')
                    continue;
            }
            if (length > 0)
                into.Add(word[..length]);
            length = 0;
        }
        if (length > 0)
            into.Add(word[..length]);
    }
}
