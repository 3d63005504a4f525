using System.Diagnostics;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace MedVlm.ConsoleSample;

/// <summary>The results as a table, in the order of the inputs; of a large run the first rows, and all that failed.</summary>
internal sealed class ResultsTable(IReadOnlyList<CaptionRequest> requests) : IRenderable
{
    const int MaxRows = 200;

    static readonly Style s_dim = new(decoration: Decoration.Dim), s_red = new(Color.Red);

    readonly Dictionary<string, int> _order = requests.Select((request, index) => (request.Id, index)).ToDictionary(pair => pair.Id, pair => pair.index);
    readonly SortedDictionary<int, CaptionResult> _rows = [];
    readonly long _start = Stopwatch.GetTimestamp();
    int _done;

    /// <summary>How many images failed.</summary>
    public int Failed { get; private set; }

    public void Add(CaptionResult result)
    {
        _done++;
        Failed += result.Succeeded ? 0 : 1;
        int index = _order[result.Request.Id];
        if (index < MaxRows || !result.Succeeded)
            _rows.Add(index, result);
    }

    public Measurement Measure(RenderOptions options, int maxWidth) => ((IRenderable)Build()).Measure(options, maxWidth);

    public IEnumerable<Segment> Render(RenderOptions options, int maxWidth) => ((IRenderable)Build()).Render(options, maxWidth);

    /// <summary>The lines below the table.</summary>
    public void WriteSummary(Terminal terminal, CaptionerMetadata? model, string? output)
    {
        var seconds = Stopwatch.GetElapsedTime(_start).TotalSeconds;
        terminal.WriteLine(
            $"{_done - Failed} captioned, {Failed} failed in {seconds:F1} s ({_done / seconds:F1} images/s), {model?.Model} in {model?.Precision}.");
        if (_done < requests.Count)
            terminal.WriteLine($"Stopped: {requests.Count - _done} are left.");
        if (output is not null)
            terminal.WriteLine($"Written to {output}.");
        terminal.WriteLine("A model's suggestions, not for clinical use. Sure: how likely the model found its own words.", s_dim);
    }

    Table Build()
    {
        var table = new Table { Border = TableBorder.Horizontal }
            .AddColumn(new TableColumn("[bold]Image[/]"))
            .AddColumn(new TableColumn("[bold]Caption[/]"))
            .AddColumn(new TableColumn("[bold]Sure[/]").RightAligned().NoWrap())
            .AddColumn(new TableColumn("[bold]ms[/]").RightAligned().NoWrap());

        foreach (var result in _rows.Values)
        {
            var id = Terminal.Plain(result.Request.Id);
            if (result.Caption is { } caption)
                table.AddRow(id, Terminal.Plain(caption.Text), Percent(caption.Confidence), new Text($"{Work(caption.Timings).TotalMilliseconds:F0}"));
            else
                table.AddRow(id, Terminal.Plain(result.Error!.Message, s_red), new Text("failed", s_red), new Text(""));
        }

        if (_done > _rows.Count)
            table.Caption = new TableTitle($"and {_done - _rows.Count} more");
        return table;
    }

    static Text Percent(double? confidence) => new(confidence is { } value ? $"{value * 100:F0} %" : "–");

    /// <summary>Time that went into an image itself, without waiting for a slot.</summary>
    static TimeSpan Work(CaptionTimings timings) => timings.Total - timings.Queue;
}
