using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;

namespace MedVlm.Tokenizers;

/// <summary>
/// Tokens of <see cref="ByteFallbackBpe"/> to text. A run of byte tokens is one piece of UTF-8: where any of it is none, every byte of the
/// run becomes U+FFFD, so a run is held back until a token follows that is no byte.
/// </summary>
/// <remarks>The decoders Replace, ByteFallback, Fuse and Strip of Hugging Face's tokenizers, in this order.</remarks>
internal sealed class ByteFallbackDecoder(Vocabulary vocabulary) : ITokenDecoder
{
    readonly List<byte> _run = [];
    bool _begun;

    public void Add(int id, StringBuilder text)
    {
        if (vocabulary.Token(id) is not string token)
            return;

        if (ByteOf(token) is byte value)
        {
            _run.Add(value);
            return;
        }
        EndRun(text);
        Append(token.Replace(ByteFallbackBpe.Blank, ' '), text);
    }

    public void Flush(StringBuilder text)
    {
        EndRun(text);
        _begun = false;
    }

    void EndRun(StringBuilder text)
    {
        if (_run.Count == 0)
            return;

        var bytes = CollectionsMarshal.AsSpan(_run);
        Append(Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : new string('\uFFFD', bytes.Length), text);
        _run.Clear();
    }

    /// <summary>The text's first blank is the one that encoding put in front of it.</summary>
    void Append(string piece, StringBuilder text)
    {
        text.Append(!_begun && piece.StartsWith(' ') ? piece.AsSpan(1) : piece);
        _begun |= piece.Length > 0;
    }

    static byte? ByteOf(string token) =>
        token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
        && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value) ? value : null;
}
