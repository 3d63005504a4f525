using System.Text;
using System.Text.Json;
using MedVlm.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

/// <summary>A line of components/tokenizers/&lt;family&gt;.jsonl, and what a tokenizer gets wrong in it.</summary>
internal sealed class GoldenLine(JsonElement line)
{
    const int LongestHeld = 5;   // characters that two patterns of the clean-up may wait for together: " 'v" and " '"

    /// <summary>The text to encode; null in a line that only decodes.</summary>
    public string? Text => line.TryGetProperty("text", out var text) ? text.GetString()! : null;

    public int[] Ids => Numbers("ids") ?? Numbers("decode_ids")!;

    // blip: what transformers prints, where its clean-up goes beyond that of the tokenizers library.
    string Decoded => CleanedUp ?? line.GetProperty("decoded").GetString()!;

    string? CleanedUp => line.TryGetProperty("decoded_hf", out var text) ? text.GetString() : null;

    string DecodedKeepSpecial => !line.TryGetProperty("decoded_keep_special", out var text) ? Decoded
        : CleanedUp is null ? text.GetString()!
        : CleanUp(text.GetString()!);

    string?[] ReferencePieces => [.. line.GetProperty("pieces").EnumerateArray().Select(piece => piece.GetString())];

    public static List<GoldenLine> Read(string path) =>
        [.. File.ReadLines(path).Where(text => text.Length > 0).Select(text => new GoldenLine(JsonDocument.Parse(text).RootElement))];

    public IEnumerable<string> Faults(Tokenizer tokenizer)
    {
        if (Text is string text)
        {
            var ids = tokenizer.Encode(text);
            if (!ids.SequenceEqual(Ids))
                yield return $"ids: [{string.Join(' ', ids)}], expected [{string.Join(' ', Ids)}]";
            if (Numbers("ids_special") is int[] special && !Around(tokenizer, ids).SequenceEqual(special))
                yield return $"ids_special: [{string.Join(' ', special)}], expected [{string.Join(' ', Around(tokenizer, ids))}]";
        }
        if (tokenizer.Decode(Ids) != Decoded)
            yield return $"decoded: {tokenizer.Decode(Ids)}, expected {Decoded}";
        if (tokenizer.Decode(Ids, skipSpecialTokens: false) != DecodedKeepSpecial)
            yield return $"decoded_keep_special: {tokenizer.Decode(Ids, skipSpecialTokens: false)}, expected {DecodedKeepSpecial}";
        if (StreamFaults(tokenizer).FirstOrDefault() is string fault)
            yield return fault;
    }

    IEnumerable<string> StreamFaults(Tokenizer tokenizer)
    {
        var stream = new StreamingDetokenizer(tokenizer);
        var (said, reference) = (new StringBuilder(), new StringBuilder());
        bool inByteRun = false;
        foreach (var (id, piece) in Ids.Zip(ReferencePieces))
        {
            if (tokenizer.Decode([id]).Length > 0)   // a token that is skipped ends no run
                inByteRun = IsByte(tokenizer, id);
            var ours = stream.Add(id);
            said.Append(ours);
            reference.Append(piece);
            if (ours is { Length: > 0 } && char.IsHighSurrogate(ours[^1]))
                yield return $"pieces: \"{ours}\" ends inside a character";
            if (!inByteRun && CleanedUp is null && !said.ToString().StartsWith(reference.ToString(), StringComparison.Ordinal))
                yield return $"pieces: \"{said}\" is behind the reference's \"{reference}\"";
            if (CleanedUp is not null && said.Length + LongestHeld < CleanUp(reference.ToString()).Length)
                yield return $"pieces: \"{said}\" is behind \"{CleanUp(reference.ToString())}\"";
            if (!Decoded.StartsWith(said.ToString(), StringComparison.Ordinal))
                yield return $"pieces: \"{said}\" is no beginning of \"{Decoded}\"";
        }
        said.Append(stream.Flush());
        if (said.ToString() != Decoded)
            yield return $"pieces and flush: {said}, expected {Decoded}";
    }

    /// <summary>
    /// A byte token: the reference gives a character out as soon as its bytes are there, and takes it back where a later byte spoils the
    /// run (the lines whose tail is null). Ours waits for the end of the run.
    /// </summary>
    static bool IsByte(Tokenizer tokenizer, int id) => Enumerable.Range(0, 256).Any(value => tokenizer.TokenId($"<0x{value:X2}>") == id);

    /// <summary>The tokens around a text: BERT's, where the tokenizer has them, or those that begin one; the families put them there.</summary>
    static IEnumerable<int> Around(Tokenizer tokenizer, int[] ids) =>
        (tokenizer.TokenId("[CLS]"), tokenizer.TokenId("[SEP]")) is (int first, int last) ? [first, .. ids, last] : [.. tokenizer.Start, .. ids];

    /// <summary>clean_up_tokenization of transformers.</summary>
    static string CleanUp(string text) => text
        .Replace(" .", ".").Replace(" ?", "?").Replace(" !", "!").Replace(" ,", ",").Replace(" ' ", "'").Replace(" n't", "n't")
        .Replace(" 'm", "'m").Replace(" 's", "'s").Replace(" 've", "'ve").Replace(" 're", "'re");

    int[]? Numbers(string key) =>
        line.TryGetProperty(key, out var ids) ? [.. ids.EnumerateArray().Select(id => id.GetInt32())] : null;
}
