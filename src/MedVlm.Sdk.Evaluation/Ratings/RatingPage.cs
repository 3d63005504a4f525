using System.Text.Json;
using MedVlm.Evaluation.Html;
using MedVlm.Evaluation.Reports;

namespace MedVlm.Evaluation.Ratings;

/// <summary>A rating sheet as a page. The captions lie in it as JSON, in which nothing can end the script element: &lt; is written as \u003C.</summary>
internal static class RatingPage
{
    public static Markup Of(RatingSheet sheet, (Thumbnail? Image, string? Missing)[] pictures)
    {
        var data = new SheetData(
            sheet.Id, RatingAnswers.CurrentFormat, [.. sheet.Scales.Select(scale => scale.Key)],
            [.. sheet.Items.Zip(pictures, (item, picture) =>
                new ItemData(item.Id, item.Stratum, item.Caption, item.References, picture.Image?.Source, picture.Missing))]);

        var scales = new Markup();
        foreach (var scale in sheet.Scales)
        {
            scales.Add($"<fieldset class=\"scale\" data-scale=\"{scale.Key}\"><legend>{scale.Label}</legend>\n<p class=\"question muted\">{scale.Question}</p>\n<div class=\"grades\">");
            for (int grade = RatingScale.Least; grade <= RatingScale.Most; grade++)
                scales.Add($"<label><input type=\"radio\" name=\"{scale.Key}\" value=\"{grade}\"><span>{grade}</span></label>");
            scales.Add($"</div>\n<p class=\"ends muted\"><span>1: {scale.Lowest}</span><span>5: {scale.Highest}</span></p></fieldset>\n");
        }

        var body = new Markup().Add($"""
            <header class="top">
            <div><h1>{sheet.Title}</h1><p class="muted" id="position" aria-live="polite"></p></div>
            <div class="tools"><label>Rater <input id="rater" autocomplete="off" maxlength="80" size="14"></label>
            <button id="save" type="button">Save answers</button><label class="file"><span>Load answers</span><input id="load" type="file" accept=".json,application/json"></label>
            <button id="theme" type="button" hidden>Dark / light</button></div>
            <progress id="progress" value="0" max="{sheet.Items.Count}" aria-label="Rated captions"></progress>
            </header>
            <noscript><p class="notice">This sheet needs JavaScript, which is in the page itself. Nothing is sent anywhere.</p></noscript>
            <p class="notice" id="notice" role="status" hidden></p>
            <main>
            <div class="picture" id="picture"></div>
            <div class="panel">
            <section><h2>Caption</h2><p class="caption" id="caption" dir="auto"></p>
            <button id="reveal" type="button" aria-expanded="false" aria-controls="references">Show reference</button>
            <div id="references" hidden></div></section>
            {scales}
            <p><label class="cannot"><input id="cannot" type="checkbox"> Cannot be judged</label></p>
            <p><label for="comment">Comment</label><textarea id="comment" rows="2" maxlength="2000"></textarea></p>
            <nav><button id="previous" type="button">Previous</button><button id="next" type="button">Next</button><button id="unrated" type="button">Next unrated</button></nav>
            <p class="keys muted"><kbd>1</kbd> to <kbd>5</kbd> grade and go on, <kbd>N</kbd> next, <kbd>P</kbd> previous, <kbd>U</kbd> next unrated, <kbd>R</kbd> reference, <kbd>X</kbd> cannot be judged, <kbd>C</kbd> comment, <kbd>Z</kbd> image in full size, <kbd>S</kbd> save</p>
            </div>
            </main>
            <script type="application/json" id="sheet">
            """).AddTrusted(JsonSerializer.Serialize(data, RatingJson.Default.SheetData)).Add($"</script>");
        return HtmlPage.Of(sheet.Title, "rating", body);
    }
}

/// <summary>What the page's script works with.</summary>
internal sealed record SheetData(string Sheet, string AnswersFormat, IReadOnlyList<string> Scales, IReadOnlyList<ItemData> Items);

/// <summary>A caption to rate, with its image as a data URI, or what is to be said in its place.</summary>
internal sealed record ItemData(string Id, string Stratum, string Caption, IReadOnlyList<string> References, string? Image, string? Missing);
