using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using AngleSharp.Html.Dom;
using AngleSharp.Html.Parser;

namespace MedVlm.Evaluation.Tests.Reports;

/// <summary>A page as a browser reads it.</summary>
internal sealed partial class Page(string html)
{
    /// <summary>Text that becomes markup, script or a request where it is not escaped.</summary>
    public static string[] HostileTexts { get; } =
    [
        "<script>alert(1)</script>", "</script><script>document.title='owned'</script>", "<img src=https://evil.example/x onerror=alert(1)>",
        "\"><svg onload=alert(1)>", "' onmouseover='alert(1)", "<!--", "-->", "]]>", "</textarea></title></style>", "&lt;b&gt; &amp; &#60;", "<a href=\"https://evil.example\">x</a>",
        "\u202Eevil\u202C", "NUL \0 and \u0007, lone \uD800 surrogate", "__proto__", "胸部 émigré 🩻",
    ];

    public string Html { get; } = html;

    public IHtmlDocument Document { get; } = new HtmlParser(new HtmlParserOptions { IsScripting = true }).ParseDocument(html);

    public static async Task<Page> Of(Func<Stream, Task> write)
    {
        using var stream = new MemoryStream();
        await write(stream);
        return new Page(Encoding.UTF8.GetString(stream.ToArray()));
    }

    /// <summary>The elements without their texts: the same for a harmless and a hostile text. What a plot draws depends on the numbers.</summary>
    public IEnumerable<string> Structure => Document.All.Where(element => element.Closest("svg") is null).Select(element => $"{element.LocalName} {string.Join(' ', element.Attributes.Select(attribute => attribute.Name).Order())}");

    /// <summary>Fails where the page could ask for anything, or run anything but its own script.</summary>
    public void AssertSelfContained()
    {
        var policy = Document.QuerySelector("meta[http-equiv=Content-Security-Policy]")!.GetAttribute("content")!;
        Assert.StartsWith("default-src 'none'; img-src data:; style-src 'sha256-", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        var script = Assert.Single(Document.Scripts, script => script.Type is null or "").TextContent;
        var style = Assert.Single(Document.QuerySelectorAll("style")).TextContent;
        Assert.Contains($"script-src '{Hash(script)}';", policy, StringComparison.Ordinal);
        Assert.Contains($"style-src '{Hash(style)}';", policy, StringComparison.Ordinal);

        foreach (var element in Document.All)
            foreach (var attribute in element.Attributes)
            {
                Assert.False(attribute.Name.StartsWith("on", StringComparison.Ordinal) || attribute.Name is "style" or "srcdoc" or "action", $"{element.LocalName} has {attribute.Name}");
                if (attribute.Name is "src" or "href" or "srcset" or "poster" or "xlink:href" or "data")
                    Assert.StartsWith("data:", attribute.Value, StringComparison.Ordinal);
            }
        Assert.DoesNotContain("url(", style, StringComparison.Ordinal);
        Assert.DoesNotContain("@import", style, StringComparison.Ordinal);
        Assert.DoesNotMatch(Requests(), script);
        Assert.DoesNotContain(Document.All, element => element.LocalName is "iframe" or "object" or "embed" or "form" or "base" or "a");
    }

    static string Hash(string content) => "sha256-" + Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(content)));

    [GeneratedRegex(@"https?:|fetch\(|XMLHttpRequest|WebSocket|sendBeacon|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|import\(|new Function")]
    private static partial Regex Requests();

    /// <summary>The document after its script has run in a headless Chromium, and what it asked the network for; null without Chromium.</summary>
    public async Task<(IHtmlDocument Document, string NetLog)?> RunInChromiumAsync(CancellationToken cancellationToken)
    {
        string[] places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
        if (places.FirstOrDefault(File.Exists) is not { } chromium)
            return null;

        var folder = Directory.CreateTempSubdirectory("page");
        try
        {
            var file = Path.Combine(folder.FullName, "page.html");
            await File.WriteAllTextAsync(file, Html, cancellationToken);
            var start = new ProcessStartInfo(
                chromium,
                [
                    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
                    "--disable-sync", $"--user-data-dir={folder.FullName}/profile", $"--log-net-log={folder.FullName}/net.json", "--virtual-time-budget=3000", "--dump-dom",
                    new Uri(file).AbsoluteUri,
                ])
            { RedirectStandardOutput = true, RedirectStandardError = true };
            using var process = Process.Start(start)!;
            var errors = process.StandardError.ReadToEndAsync(cancellationToken);
            var dom = await process.StandardOutput.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken);
            await errors;
            return (new HtmlParser().ParseDocument(dom), await File.ReadAllTextAsync(Path.Combine(folder.FullName, "net.json"), cancellationToken));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
