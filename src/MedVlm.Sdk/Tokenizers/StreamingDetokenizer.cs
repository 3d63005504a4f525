using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>Text piece by piece while ids are generated: never half a character, and all pieces joined are what Decode gives.</summary>
/// <remarks>The cost of an id does not grow with the text before it. For one caption and one thread.</remarks>
internal sealed class StreamingDetokenizer(Tokenizer tokenizer, bool skipSpecialTokens = true)
{
    readonly ITokenDecoder _decoder = tokenizer.NewDecoder();
    readonly StringBuilder _piece = new();

    /// <summary>The text that this id completes; null while a character is unfinished, and for ids without text.</summary>
    public string? Add(int id)
    {
        Add(id, _piece.Clear());
        return _piece.Length == 0 ? null : _piece.ToString();
    }

    /// <summary>What is still owed when generation stops: U+FFFD for an unfinished character, else nothing.</summary>
    public string Flush()
    {
        Flush(_piece.Clear());
        return _piece.ToString();
    }

    internal void Add(int id, StringBuilder text)
    {
        if (tokenizer.IsText(id, skipSpecialTokens))
            _decoder.Add(id, text);
    }

    internal void Flush(StringBuilder text) => _decoder.Flush(text);
}
