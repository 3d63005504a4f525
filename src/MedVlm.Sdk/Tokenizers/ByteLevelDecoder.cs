using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>Byte-level tokens to text: .NET's own UTF-8 decoder keeps the bytes of an unfinished character.</summary>
internal sealed class ByteLevelDecoder(Vocabulary vocabulary) : ITokenDecoder
{
    readonly Decoder _utf8 = Encoding.UTF8.GetDecoder();

    public void Add(int id, StringBuilder text)
    {
        if (vocabulary.Token(id) is string token)
            Append(ByteAlphabet.ToBytes(token), flush: false, text);
    }

    public void Flush(StringBuilder text) => Append([], flush: true, text);

    void Append(ReadOnlySpan<byte> bytes, bool flush, StringBuilder text)
    {
        var chars = new char[_utf8.GetCharCount(bytes, flush)];
        var written = _utf8.GetChars(bytes, chars, flush);
        text.Append(chars, 0, written);
    }
}
