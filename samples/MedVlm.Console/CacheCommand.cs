using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace MedVlm.ConsoleSample;

/// <summary>cache list, cache clear: the quantised weights that earlier loads have left on disk, and calibrations.</summary>
internal static class CacheCommand
{
    public static Command Create(Terminal terminal)
    {
        var list = new Command("list", "List the quantised weights and calibrations on disk.");
        list.SetAction(_ => List(terminal));
        var clear = new Command("clear", "Delete them. The next load of a model in INT8 or INT4 quantises it again, without a calibration.");
        clear.SetAction(_ => Clear(terminal));
        return new Command("cache", "Quantised weights, which are made at the first load of a model in INT8 or INT4 and kept.") { list, clear };
    }

    static int List(Terminal terminal)
    {
        var entries = WeightCache.List();
        if (entries.Count > 0)
        {
            var table = new Table().AddColumn("Model").AddColumn("Precision").AddColumn(new TableColumn("MiB").RightAligned()).AddColumn("Made (UTC)");
            foreach (var entry in entries)
                table.AddRow(Markup.Escape(entry.Model), $"{entry.Precision}", MiB(entry.Bytes), Time(entry.Created));
            terminal.Out.Write(table);
        }
        var calibrations = WeightCache.ListCalibrations();
        if (calibrations.Count > 0)
        {
            var table = new Table().AddColumn("Calibrated model").AddColumn(new TableColumn("Images").RightAligned()).AddColumn("Made (UTC)");
            foreach (var entry in calibrations)
                table.AddRow(Markup.Escape(entry.Model), $"{entry.Images}", Time(entry.Created));
            terminal.Out.Write(table);
        }
        terminal.Out.WriteLine($"{entries.Count} models, {MiB(entries.Sum(entry => entry.Bytes))} MiB in {WeightCache.Folder}");
        return ExitCode.Success;
    }

    static int Clear(Terminal terminal)
    {
        terminal.Out.WriteLine($"{MiB(WeightCache.Clear())} MiB freed in {WeightCache.Folder}");
        int left = WeightCache.List().Count + WeightCache.ListCalibrations().Count;
        if (left > 0)
            terminal.Out.WriteLine($"{left} files stay: a captioner is using them, or they must not be deleted.");
        return ExitCode.Success;
    }

    // A year of the Gregorian calendar, whichever the user's is.
    static string Time(DateTimeOffset time) => time.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture);

    static string MiB(long bytes) => $"{bytes / 1048576.0:N0}";
}
