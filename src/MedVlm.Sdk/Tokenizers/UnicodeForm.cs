using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>Unicode normalization of any text.</summary>
internal static class UnicodeForm
{
    const char Refused = '\uFFFE';   // string.Normalize throws; it is no character, and combines with none

    // .NET gives text back as it is where it runs without ICU (InvariantGlobalization, the default of small container images).
    static readonly bool s_isThere = "e\u0301".IsNormalized(NormalizationForm.FormC) is false;

    /// <exception cref="MedVlmException">The text is not ASCII, and this process cannot normalise it: its tokens would not be the model's.</exception>
    public static string Apply(string text, NormalizationForm form) => System.Text.Ascii.IsValid(text)
        ? text
        : s_isThere ? Normalized(text, form)
        : throw new MedVlmException(
            "This process runs in globalization-invariant mode, where .NET does not normalise Unicode: text beyond ASCII would become other tokens than the model's. Install ICU (libicu; in "
            + "Alpine icu-libs) and set InvariantGlobalization, or the environment variable DOTNET_SYSTEM_GLOBALIZATION_INVARIANT, to false.");

    static string Normalized(string text, NormalizationForm form) => text.Contains(Refused)
        ? string.Join(Refused, text.Split(Refused).Select(part => part.Normalize(form)))
        : text.Normalize(form);
}
