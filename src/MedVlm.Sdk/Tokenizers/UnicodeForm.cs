using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>Unicode normalization of any text.</summary>
internal static class UnicodeForm
{
    const char Refused = '\uFFFE';   // string.Normalize throws; it is no character, and combines with none

    public static string Apply(string text, NormalizationForm form) => text.Contains(Refused)
        ? string.Join(Refused, text.Split(Refused).Select(part => part.Normalize(form)))
        : text.Normalize(form);
}
