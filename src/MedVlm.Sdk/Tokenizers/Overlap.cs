namespace MedVlm.Tokenizers;

/// <summary>What a growing text may still turn into.</summary>
internal static class Overlap
{
    /// <summary>Characters at the end of <paramref name="text"/> that <paramref name="pattern"/> begins with, short of the whole of it.</summary>
    public static int AtEnd(ReadOnlySpan<char> text, string pattern)
    {
        for (int length = Math.Min(text.Length, pattern.Length - 1); length > 0; length--)
            if (text[^length..].SequenceEqual(pattern.AsSpan(0, length)))
                return length;
        return 0;
    }
}
