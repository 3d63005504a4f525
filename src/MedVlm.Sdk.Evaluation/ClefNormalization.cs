using System.Text;
using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation;

/// <summary>How the scorer of ImageCLEFmedical's caption task normalises texts before it compares them.</summary>
/// <remarks>Source: caption_prediction/evaluator.py of taubsity/clef-caption-evaluation-2026, commit 9966c135.</remarks>
public static class ClefNormalization
{
    /// <summary>The text in lower case, each run of digits written "number", ASCII punctuation deleted: "T2-weighted, 2.3" becomes
    /// "tnumberweighted numbernumber".</summary>
    /// <param name="text">A caption.</param>
    public static string Normalize(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var lower = FullCase.ToLower(text);
        var normalized = new StringBuilder(lower.Length + 16);
        bool inNumber = false;
        for (int i = 0; i < lower.Length; i++)
        {
            // Digits of any script count; those beyond the basic plane take two characters.
            bool digit = char.IsDigit(lower, i);
            if (digit && !inNumber)
                normalized.Append("number");
            inNumber = digit;

            int width = char.IsSurrogatePair(lower, i) ? 2 : 1;
            if (!digit && !IsPunctuation(lower[i]))
                normalized.Append(lower, i, width);
            i += width - 1;
        }
        return normalized.ToString();
    }

    static bool IsPunctuation(char c) => char.IsAscii(c) && (char.IsPunctuation(c) || char.IsSymbol(c));
}
