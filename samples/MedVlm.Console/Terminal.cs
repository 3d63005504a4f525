using System.Text;
using Spectre.Console;

namespace MedVlm.ConsoleSample;

/// <summary>Where the application writes: results to <paramref name="Out"/>, progress lines and errors to <paramref name="Error"/>, by <see cref="WriteError"/>.</summary>
internal sealed record Terminal(IAnsiConsole Out, TextWriter Error)
{
    /// <summary>Columns of a table that goes to a file or a pipe, which has no width of its own.</summary>
    const int PlainWidth = 100;

    /// <summary>Where the library's warnings go.</summary>
    public WarningLog Warnings => new(this);

    /// <summary>Whether something can be drawn over what was drawn before: a terminal, not a file, a pipe or TERM=dumb.</summary>
    public bool IsLive => Out.Profile.Out.IsTerminal && Out.Profile.Capabilities is { Ansi: true, Interactive: true };

    public static Terminal OfThisProcess()
    {
        Console.OutputEncoding = Encoding.UTF8;   // captions and file names in every language, also on Windows
        return new Terminal(Create(Console.Out), Console.Error);
    }

    /// <summary>A terminal on a writer.</summary>
    public static IAnsiConsole Create(TextWriter output)
    {
        var target = new AnsiConsoleOutput(output);
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = target, Ansi = target.IsTerminal ? AnsiSupport.Detect : AnsiSupport.No });
        if (!target.IsTerminal)
            console.Profile.Width = PlainWidth;
        return console;
    }

    /// <summary>Writes a line of <see cref="Plain"/> text.</summary>
    public void WriteLine(string text, Style? style = null)
    {
        Out.Write(Plain(text, style));
        Out.WriteLine();
    }

    /// <summary>Writes a line to <see cref="Error"/>, as safe as <see cref="Plain"/> text.</summary>
    public void WriteError(string text) => Error.WriteLine(WithoutControls(text));

    /// <summary>Text that may come from a file name or a model: on one line, and nothing in it can move the cursor.</summary>
    public static Text Plain(string text, Style? style = null) => new(WithoutControls(text), style);

    static string WithoutControls(string text) => string.Concat(text.EnumerateRunes().Select(rune => Rune.IsControl(rune) ? "\uFFFD" : rune.ToString()));
}
