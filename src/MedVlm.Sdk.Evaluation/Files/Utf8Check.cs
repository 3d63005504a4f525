using System.Text.Unicode;

namespace MedVlm.Evaluation.Files;

/// <summary>Whether a file is UTF-8 throughout, and on which lines it is not.</summary>
internal static class Utf8Check
{
    static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    /// <summary>Reads a file to its end.</summary>
    /// <returns>Whether it looks like JSON lines: its first character is a brace.</returns>
    public static bool Check(Stream file, FileFaults faults, CancellationToken cancellationToken)
    {
        var buffer = new byte[1 << 16];
        int kept = 0, line = 1;
        byte first = 0;
        bool atStart = true;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int read = file.Read(buffer.AsSpan(kept));
            var text = buffer.AsSpan(0, kept + read);
            if (atStart)
            {
                if (text.Length < 4 && read > 0)
                {
                    kept = text.Length;
                    continue;
                }
                atStart = false;
                if (text is [0xFF, 0xFE, ..] or [0xFE, 0xFF, ..])
                {
                    faults.Add(FaultKind.Encoding, "line 1 (the file is UTF-16)");
                    return false;
                }
            }
            if (first == 0)
                first = FirstCharacter(text.StartsWith(ByteOrderMark) ? text[ByteOrderMark.Length..] : text);

            for (int end; (end = text.IndexOf((byte)'\n')) >= 0; line++)
            {
                CheckLine(text[..end], line, faults);
                text = text[(end + 1)..];
            }
            if (read == 0)
            {
                CheckLine(text, line, faults);
                return first == '{';
            }
            if (text.Length == buffer.Length)
            {
                if (buffer.Length >= CaptionRows.LongestRow)
                {
                    faults.Add(FaultKind.Malformed, $"line {line} (longer than {CaptionRows.LongestRow >> 20} MiB)");
                    return false;
                }
                Array.Resize(ref buffer, 2 * buffer.Length);
                kept = text.Length;
                continue;
            }
            text.CopyTo(buffer);
            kept = text.Length;
        }
    }

    static byte FirstCharacter(ReadOnlySpan<byte> text)
    {
        text = text.TrimStart(" \t\r\n"u8);
        return text.IsEmpty ? (byte)0 : text[0];
    }

    static void CheckLine(ReadOnlySpan<byte> text, int line, FileFaults faults)
    {
        if (!Utf8.IsValid(text))
            faults.Add(FaultKind.Encoding, $"line {line}");
        else if (text.Contains((byte)0))
            faults.Add(FaultKind.Encoding, $"line {line} (a zero byte)");
    }
}
