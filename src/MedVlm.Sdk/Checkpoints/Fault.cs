using System.Globalization;
using System.Text;

namespace MedVlm.Checkpoints;

/// <summary>Words that the messages of this room share.</summary>
internal static class Fault
{
    public const string FetchAgain = "The file is damaged or was cut short: fetch it again.";

    const int LongestQuote = 200;

    /// <summary>Text of a file in quotation marks, safe to log: control characters escaped, very long text shortened.</summary>
    public static string Quote(string text)
    {
        var quoted = new StringBuilder("\"");
        foreach (var rune in text.EnumerateRunes())
        {
            if (quoted.Length > LongestQuote)
            {
                quoted.Append('…');
                break;
            }
            if (rune.Value is '"' or '\\')
                quoted.Append('\\').Append(rune);
            else if (Rune.IsControl(rune) || Rune.GetUnicodeCategory(rune) is UnicodeCategory.Format
                         or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator)
                quoted.Append("\\u").Append(rune.Value.ToString("x4", CultureInfo.InvariantCulture));
            else
                quoted.Append(rune);
        }
        return quoted.Append('"').ToString();
    }

    /// <summary>What the file system can throw when a file of the checkpoint is opened or read.</summary>
    public static bool IsFileError(Exception e) =>
        e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException;
}
