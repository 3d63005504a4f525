using System.Security.Cryptography;
using System.Text;

namespace MedVlm.Evaluation.Html;

/// <summary>
/// A page that is one file: style and script are in it, and its Content-Security-Policy forbids the rest. The policy names style and
/// script by their hash, so that nothing else could run even if a text were to become markup.
/// </summary>
internal static class HtmlPage
{
    /// <param name="title">Title of the page.</param>
    /// <param name="assets">Names of the embedded .css and .js files, without their ending.</param>
    /// <param name="body">What stands between the body's tags.</param>
    public static Markup Of(string title, string assets, Markup body)
    {
        string style = Asset("page.css") + Asset(assets + ".css"), script = Asset("page.js") + Asset(assets + ".js");
        var page = new Markup();
        page.Add($"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src {Hash(style)}; script-src {Hash(script)}; base-uri 'none'; form-action 'none'">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="referrer" content="no-referrer">
            <meta name="color-scheme" content="light dark">
            <meta name="robots" content="noindex">
            <link rel="icon" href="data:,">
            <title>{title}</title>
            <style>
            """).AddTrusted(style).Add($"""
            </style>
            </head>
            <body>
            {body}
            <script>
            """).AddTrusted(script).Add($"</script>\n</body>\n</html>\n");
        return page;
    }

    /// <summary>As a policy names it: the hash of exactly what stands between the tags.</summary>
    static Markup Hash(string content) => new Markup().AddTrusted($"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(content)))}'");

    static string Asset(string name)
    {
        using var stream = typeof(HtmlPage).Assembly.GetManifestResourceStream("Html/" + name)!;
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return reader.ReadToEnd().ReplaceLineEndings("\n");   // browsers hash the page after they have made every line end \n
    }
}
