namespace MedVlm.Evaluation.Tokens;

/// <summary>What Python's str methods take for a space: .NET's white space, and the four separators of ASCII.</summary>
internal static class PythonText
{
    /// <summary>The characters that str.split() and str.strip() cut at.</summary>
    public const string Spaces = " \t\n\v\f\r\u001C\u001D\u001E\u001F\u0085\u00A0\u1680"
        + "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000";
}
