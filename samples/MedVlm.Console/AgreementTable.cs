using MedVlm.ConsoleSample.Verification;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace MedVlm.ConsoleSample;

/// <summary>Agreement with the reference, case by case.</summary>
internal sealed class AgreementTable : IRenderable
{
    static readonly Style s_green = new(Color.Green), s_red = new(Color.Red), s_yellow = new(Color.Yellow);

    readonly SortedDictionary<(string Set, int Case), IRenderable[]> _rows =
        new(Comparer<(string Set, int Case)>.Create((a, b) => string.CompareOrdinal(a.Set, b.Set) is not 0 and var order ? order : a.Case.CompareTo(b.Case)));

    /// <summary>Reasons that are too long for the table.</summary>
    readonly List<string> _reasons = [];

    int _agreeing, _skipped, _notSupported;

    /// <summary>Cases that disagree, or that cannot be run although they should.</summary>
    public int Disagreeing { get; private set; }

    /// <summary>Adds a case that was run.</summary>
    /// <returns>Whether it agrees.</returns>
    public bool Add(ReferenceSet set, ReferenceCase one, CaptionResult result)
    {
        if (result.Caption is not { } caption)
        {
            Disagreeing++;
            AddRow(set, one, s_red, "FAILED");
            _reasons.Add($"{set.Name}/{one.Name}: {result.Error!.Message}");
            return false;
        }

        var agreement = Agreement.Of(one, caption);
        var style = agreement.IsComplete ? s_green : s_red;
        _agreeing += agreement.IsComplete ? 1 : 0;
        Disagreeing += agreement.IsComplete ? 0 : 1;
        AddRow(
            set, one, style, agreement.IsComplete ? "agrees" : "DISAGREES", $"{agreement.Tokens} of {agreement.OfTokens}",
            $"{Math.Floor(agreement.Share * 100):F0} %", agreement.SameText ? "equal" : "differs", caption.Precision.ToString(),
            $"{(caption.Timings.Total - caption.Timings.Queue).TotalMilliseconds:F0}");
        return agreement.IsComplete;
    }

    /// <summary>Adds a case that this application cannot ask for.</summary>
    public void AddSkipped(ReferenceSet set, ReferenceCase one)
    {
        _skipped++;
        AddRow(set, one, s_yellow, $"skipped: no option for {one.NotExpressible}");
    }

    /// <summary>Adds a family that the SDK does not run.</summary>
    public void AddNotSupported(ReferenceSet set)
    {
        _notSupported += set.Cases.Count;
        AddRow(set, null, s_yellow, "not supported yet");
    }

    /// <summary>Adds a family whose cases come without their checkpoint, so that there is nothing to run.</summary>
    public void AddNoCheckpoint(ReferenceSet set)
    {
        _skipped += set.Cases.Count;
        AddRow(set, null, s_yellow, "no checkpoint here");
    }

    /// <summary>Adds a family whose checkpoint does not load.</summary>
    public void AddNotLoaded(ReferenceSet set, string reason)
    {
        Disagreeing += set.Cases.Count;
        AddRow(set, null, s_red, "NOT LOADED");
        _reasons.Add($"{set.Name}: {reason}");
    }

    public Measurement Measure(RenderOptions options, int maxWidth) => ((IRenderable)Build()).Measure(options, maxWidth);

    public IEnumerable<Segment> Render(RenderOptions options, int maxWidth) => ((IRenderable)Build()).Render(options, maxWidth);

    /// <summary>The lines below the table.</summary>
    public void WriteSummary(Terminal terminal)
    {
        foreach (var reason in _reasons)
            terminal.WriteLine(reason, s_red);

        int run = _agreeing + Disagreeing;
        var share = run == 0 ? "" : $" ({Math.Floor(100.0 * _agreeing / run):F0} %)";
        var others = (_skipped > 0 ? $", {_skipped} skipped" : "") + (_notSupported > 0 ? $", {_notSupported} of families that are not supported yet" : "");
        terminal.WriteLine($"{_agreeing} of {run} cases agree{share}{others}.");
    }

    void AddRow(ReferenceSet set, ReferenceCase? one, Style style, string verdict, params string[] cells)
    {
        int index = one is null ? -1 : set.Cases.TakeWhile(other => other.Name != one.Name).Count();
        _rows.Add(
            (set.Name, index),
            [
                Terminal.Plain(one is null ? $"{set.Name}: {set.Cases.Count} cases" : $"{set.Name}/{one.Name}"),
                Terminal.Plain(verdict, style),
                .. cells.Select(cell => new Text(cell)),
            ]);
    }

    Table Build()
    {
        var table = new Table { Border = TableBorder.Horizontal }
            .AddColumn(new TableColumn("[bold]Case[/]"))
            .AddColumn(new TableColumn("[bold]Verdict[/]"))
            .AddColumn(new TableColumn("[bold]Tokens[/]").RightAligned().NoWrap())
            .AddColumn(new TableColumn("[bold]Share[/]").RightAligned().NoWrap())
            .AddColumn(new TableColumn("[bold]Text[/]"))
            .AddColumn(new TableColumn("[bold]Precision[/]"))
            .AddColumn(new TableColumn("[bold]ms[/]").RightAligned().NoWrap());
        foreach (var row in _rows.Values)
            table.AddRow(row);
        return table;
    }
}
