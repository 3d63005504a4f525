using System.Text;
using MedVlm.Tokenizers;

namespace MedVlm.Inference;

/// <summary>A caption's text as it grows: whole characters, and nothing that may still turn out to be part of a stop sequence.</summary>
internal sealed class CaptionText(StreamingDetokenizer detokenizer, IReadOnlyList<string> stopSequences)
{
    readonly StringBuilder _held = new();
    readonly TrimmedText _text = new();

    /// <summary>What has been handed out so far.</summary>
    public string Text => _text.ToString();

    /// <summary>Whether a stop sequence was reached; it and what follows are not part of the text.</summary>
    public bool Stopped { get; private set; }

    /// <summary>Takes a token.</summary>
    /// <returns>Text that is now certain.</returns>
    public string Add(int tokenId) => Release(detokenizer.Add(tokenId), isLast: false);

    /// <summary>Ends the text.</summary>
    /// <returns>What was held back.</returns>
    public string Finish() => Stopped ? "" : Release(detokenizer.Flush(), isLast: true);

    string Release(string? piece, bool isLast)
    {
        _held.Append(piece);
        var held = _held.ToString();

        int end = FirstStop(held);
        Stopped = end >= 0;
        if (!Stopped)
            end = isLast ? held.Length : held.Length - stopSequences.Select(stop => Overlap.AtEnd(held, stop)).DefaultIfEmpty(0).Max();

        _held.Remove(0, end);
        return _text.Add(held[..end]);
    }

    /// <summary>Where the stop sequence begins that is the first to be complete, the longest of those that end together; -1 if there is none.</summary>
    int FirstStop(string text) => stopSequences
        .Select(stop => (Start: text.IndexOf(stop, StringComparison.Ordinal), stop.Length))
        .Where(stop => stop.Start >= 0)
        .OrderBy(stop => stop.Start + stop.Length).ThenBy(stop => stop.Start)
        .Select(stop => stop.Start).FirstOrDefault(-1);
}
