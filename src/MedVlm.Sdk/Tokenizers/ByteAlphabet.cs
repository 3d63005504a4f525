using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>GPT-2's alphabet: a printable character for each byte, so that tokens of any bytes can be written as text.</summary>
/// <remarks>Printable Latin-1 stands for itself; the other bytes, in order, are U+0100 onwards ("Ġ" is the blank).</remarks>
internal static class ByteAlphabet
{
    static readonly char[] Characters = MakeCharacters();

    static readonly Dictionary<char, byte> Bytes =
        Characters.Select((character, value) => (character, value)).ToDictionary(pair => pair.character, pair => (byte)pair.value);

    /// <summary>The token of each byte, in order.</summary>
    public static IEnumerable<string> Tokens => Characters.Select(character => character.ToString());

    public static char Character(byte value) => Characters[value];

    /// <summary>The bytes of a token. One with a character outside the alphabet is no byte-level token: its UTF-8 stands for it.</summary>
    public static byte[] ToBytes(string token)
    {
        var bytes = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
            if (!Bytes.TryGetValue(token[i], out bytes[i]))
                return Encoding.UTF8.GetBytes(token);
        return bytes;
    }

    static char[] MakeCharacters()
    {
        var next = 256;
        return [.. Enumerable.Range(0, 256).Select(value => (char)(IsPrintable(value) ? value : next++))];
    }

    static bool IsPrintable(int value) => value is (>= 0x21 and <= 0x7E) or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
}
