using System.Text;

namespace MedVlm.Tokenizers;

/// <summary><see cref="string.Replace(string, string)"/> over a text that comes in pieces: all results joined are the whole text's.</summary>
internal sealed class StreamingReplacement(string pattern, string replacement)
{
    string _held = "";

    /// <summary>Takes a piece.</summary>
    /// <returns>What is now certain; the beginning of the pattern waits for what follows.</returns>
    public string Add(string piece)
    {
        var text = _held + piece;
        var result = new StringBuilder(text.Length);
        int done = 0;
        while (text.IndexOf(pattern, done, StringComparison.Ordinal) is >= 0 and var found)
        {
            result.Append(text, done, found - done).Append(replacement);
            done = found + pattern.Length;   // a replacement is not looked at again
        }
        int kept = Overlap.AtEnd(text.AsSpan(done), pattern);
        _held = text[^kept..];
        return result.Append(text, done, text.Length - kept - done).ToString();
    }

    /// <summary>Ends the text, and begins anew.</summary>
    /// <returns>What was held back.</returns>
    public string Flush()
    {
        var rest = _held;
        _held = "";
        return rest;
    }
}
