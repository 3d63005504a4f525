using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Unicode;

namespace MedVlm.Evaluation.Html;

/// <summary>
/// HTML or SVG under construction. What stands in a hole of an interpolated string is escaped, so that no text of a file becomes markup;
/// only a <see cref="Markup"/> in a hole stays markup.
/// </summary>
internal sealed class Markup
{
    // Escapes < > & " ' and what is no character; letters of every script stay readable.
    static readonly HtmlEncoder s_encoder = HtmlEncoder.Create(UnicodeRanges.All);

    readonly StringBuilder _text = new();

    /// <summary>Adds a piece. The handler has written it already when this is called.</summary>
    public Markup Add([InterpolatedStringHandlerArgument("")] Pieces pieces) => this;

    /// <summary>Adds text that is markup already, because this library wrote it.</summary>
    public Markup AddTrusted(string markup)
    {
        _text.Append(markup);
        return this;
    }

    public override string ToString() => _text.ToString();

    /// <summary>Writes it as UTF-8.</summary>
    public async Task WriteAsync(Stream stream, CancellationToken cancellationToken)
    {
        var writer = new StreamWriter(stream, new UTF8Encoding(false), leaveOpen: true);   // keeps pairs of surrogates together across chunks
        await using (writer.ConfigureAwait(false))
            foreach (var chunk in _text.GetChunks())
                await writer.WriteAsync(chunk, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Writes the pieces of an interpolated string into a <see cref="Markup"/>.</summary>
    [InterpolatedStringHandler]
    internal readonly struct Pieces
    {
        readonly StringBuilder _text;

        // The lengths are what the compiler passes; a StringBuilder grows by itself.
        public Pieces(int literalLength, int holes, Markup target) => _text = target._text;

        public void AppendLiteral(string markup) => _text.Append(markup);

        public void AppendFormatted(string? text) => _text.Append(s_encoder.Encode(text ?? ""));

        public void AppendFormatted(Markup markup) => _text.Append(markup._text);

        public void AppendFormatted(int number, string format = "D") => _text.Append(number.ToString(format, CultureInfo.InvariantCulture));

        public void AppendFormatted(long number, string format = "D") => _text.Append(number.ToString(format, CultureInfo.InvariantCulture));

        public void AppendFormatted(double number, string format) => _text.Append(number.ToString(format, CultureInfo.InvariantCulture));
    }
}
