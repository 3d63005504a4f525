using System.Buffers;

namespace MedVlm.Evaluation.Tokens;

/// <summary>sacreBLEU's tokenizer 13a (mteval-v13a.pl): ASCII punctuation apart from <c>' - . ,</c> stands alone; a point, a comma or a
/// hyphen does so unless digits hold it.</summary>
internal sealed class SacreTokens(bool lowerCase) : TextTokens
{
    static readonly SearchValues<char> s_spaces = SearchValues.Create(PythonText.Spaces);

    public override void Split(string text, TokenSink into)
    {
        var line = (lowerCase ? FullCase.ToLower(text) : text).AsSpan().TrimEnd(PythonText.Spaces).ToString()
            .Replace("<skipped>", "").Replace("-\n", "").Replace('\n', ' ');
        if (line.Contains('&'))
            line = line.Replace("&quot;", "\"").Replace("&amp;", "&").Replace("&lt;", "<").Replace("&gt;", ">");

        // Each pass of the reference is a substitution over the whole line, and reads what the pass before it wrote.
        var (first, second) = (new Line(3 * line.Length + 8), new Line(9 * line.Length + 24));
        first.Add(' ');
        foreach (char c in line)
            first.Add(c, apart: StandsAlone(c));
        first.Add(' ');
        Points(first.Text, second, before: true);
        first = new Line(3 * second.Text.Length);
        Points(second.Text, first, before: false);
        second = new Line(2 * first.Text.Length);
        Hyphens(first.Text, second);

        var tokens = second.Text;
        while (true)
        {
            tokens = tokens.TrimStart(PythonText.Spaces);
            if (tokens.IsEmpty)
                return;
            int end = tokens.IndexOfAny(s_spaces);
            into.Add(end < 0 ? tokens : tokens[..end]);
            tokens = end < 0 ? [] : tokens[end..];
        }
    }

    static bool StandsAlone(char c) => c is >= '{' and <= '~' or >= '[' and <= '`' or >= ' ' and <= '&' or >= '(' and <= '+' or >= ':' and <= '@' or '/';

    /// <summary>A point or comma behind (or before) what is no digit gets spaces around it. Matches do not overlap: of two points in a row the
    /// second stays.</summary>
    static void Points(ReadOnlySpan<char> from, Line to, bool before)
    {
        for (int i = 0; i < from.Length; i++)
        {
            bool match = i + 1 < from.Length
                && (before ? !IsDigit(from[i]) && from[i + 1] is '.' or ',' : from[i] is '.' or ',' && !IsDigit(from[i + 1]));
            to.Add(from[i], apart: match && !before);
            if (match)
                to.Add(from[++i], apart: before);
        }
    }

    static void Hyphens(ReadOnlySpan<char> from, Line to)
    {
        for (int i = 0; i < from.Length; i++)
        {
            to.Add(from[i]);
            if (IsDigit(from[i]) && i + 1 < from.Length && from[i + 1] == '-')
                to.Add(from[++i], apart: true);
        }
    }

    static bool IsDigit(char c) => char.IsAsciiDigit(c);

    sealed class Line(int capacity)
    {
        readonly char[] _text = new char[capacity];
        int _length;

        public ReadOnlySpan<char> Text => _text.AsSpan(0, _length);

        public void Add(char c, bool apart = false)
        {
            if (apart)
                _text[_length++] = ' ';
            _text[_length++] = c;
            if (apart)
                _text[_length++] = ' ';
        }
    }
}
