using System.Text;

namespace MedVlm;

/// <summary>A text as it grows, without white space around the whole: none at its start, and that at its end waits for what follows.</summary>
internal sealed class TrimmedText
{
    readonly StringBuilder _text = new();
    string _waiting = "";

    /// <summary>What has been handed out so far.</summary>
    public override string ToString() => _text.ToString();

    /// <summary>Takes a piece.</summary>
    /// <returns>What is now certain to belong to the text.</returns>
    public string Add(string piece)
    {
        piece = _text.Length == 0 ? piece.TrimStart() : _waiting + piece;
        var certain = piece.TrimEnd();
        _waiting = piece[certain.Length..];
        _text.Append(certain);
        return certain;
    }
}
