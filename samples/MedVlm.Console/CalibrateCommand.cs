using System.CommandLine;
using System.Globalization;
using System.Text.RegularExpressions;
using Spectre.Console;

namespace MedVlm.ConsoleSample;

/// <summary>calibrate: run a model on images, and keep what that tells about quantising it.</summary>
internal static partial class CalibrateCommand
{
    public static Command Create(Terminal terminal)
    {
        var model = new Argument<string?>("model")
        {
            HelpName = "model", Arity = ArgumentArity.ZeroOrOne, Description = "Hub id (org/name[@revision]) or checkpoint folder. Default: the embedded TinyModel.",
        };
        var images = new Option<string?>("--images") { HelpName = "FOLDER", Description = "Images of the kind that the model will see. Default: the bundled drawn images." };
        var threads = new Option<int>("--threads") { HelpName = "N", Description = "Threads of a matrix product. Default: one for each physical core." };

        var command = new Command("calibrate", "Measure how a model's layers are best quantised. Later loads in INT8 and INT4 use what is found.") { model, images, threads };
        command.SetAction((parsed, cancellationToken) =>
        {
            var options = new MedicalCaptionerOptions { Threads = parsed.GetNumber(threads) }.UseTinyModel();
            options.Model = parsed.GetValue(model) ?? options.Model;
            return CalibrateAsync(terminal, options, parsed.GetValue(images) ?? ConsoleApp.SampleImages, cancellationToken);
        });
        return command;
    }

    static async Task<int> CalibrateAsync(Terminal terminal, MedicalCaptionerOptions options, string folder, CancellationToken cancellationToken)
    {
        // Every second image chooses, the others measure. In the order of names, frontal and lateral views may take turns; shuffled, both halves have both.
        var requests = Inputs.Find([folder]).ToArray();
        new Random(1).Shuffle(requests);
        if (requests.Length < 2)
            throw new UsageException($"There is one image in \"{folder}\": a calibration needs two at least, and a few dozen to be of use.");
        terminal.WriteLine($"Running the model in FP32 on {requests.Length} images, then measuring each layer in INT8 and INT4.");
        var done = new Done();
        CalibrationReport report;
        try
        {
            report = await MedicalCaptioner.CalibrateAsync(options, requests.Select(request => request.Images[0]), done, cancellationToken);
        }
        catch (ImageException e) when (done.Images < requests.Length)
        {
            throw new ImageException($"{requests[done.Images].Id}: {e.Message}", e);
        }

        terminal.Out.Write(Table(report));
        int smoothed = report.Layers.Count(layers => layers.IsSmoothed), weighed = report.Layers.Count(layers => layers.UsesMeanSquares);
        terminal.WriteLine(
            $"{smoothed} of {report.Layers.Count} groups of layers are smoothed in INT8, {weighed} weigh INT4's errors by their measured inputs. "
            + "Errors are of outputs, on the half of the images that nothing was computed from; what makes them larger there is not taken.");
        terminal.WriteLine(report.File);
        return ExitCode.Success;
    }

    /// <summary>How many images are done, at once: which one failed is the next.</summary>
    sealed class Done : IProgress<int>
    {
        public int Images { get; private set; }

        public void Report(int value) => Images = value;
    }

    /// <summary>A line for each kind of layers: those whose names differ by numbers only.</summary>
    static Table Table(CalibrationReport report)
    {
        var table = new Table { Border = TableBorder.Horizontal }.AddColumn("[bold]Layers[/]");
        foreach (var column in (string[])["Smoothed", "INT8 error, %", "By inputs", "INT4 error, %"])
            table.AddColumn(new TableColumn(column).NoWrap().RightAligned());

        foreach (var kind in report.Layers.GroupBy(layers => Kind(layers.Weights)))
            table.AddRow(
                Terminal.Plain(kind.Key),
                Terminal.Plain(kind.Any(layers => layers.CanBeSmoothed) ? Share(kind, layers => layers.IsSmoothed) : "-"),
                Change(kind, layers => layers.Int8Error, layers => layers.Int8CalibratedError),
                Terminal.Plain(Share(kind, layers => layers.UsesMeanSquares)),
                Change(kind, layers => layers.Int4Error, layers => layers.Int4CalibratedError));
        return table;

        static string Share(IEnumerable<CalibratedLayers> kind, Func<CalibratedLayers, bool> isSo) => $"{kind.Count(isSo)} of {kind.Count()}";

        static Text Change(IEnumerable<CalibratedLayers> kind, Func<CalibratedLayers, double> before, Func<CalibratedLayers, double> after) =>
            Terminal.Plain(string.Create(CultureInfo.InvariantCulture, $"{100 * kind.Average(before):F2} to {100 * kind.Average(after):F2}"));
    }

    static string Kind(IReadOnlyList<string> weights)
    {
        var names = weights.Select(weight => weight.EndsWith(".weight", StringComparison.Ordinal) ? weight[..^".weight".Length] : weight).ToList();
        int shared = names[0].LastIndexOf('.') + 1;
        return Number().Replace(names.TrueForAll(name => name.StartsWith(names[0][..shared], StringComparison.Ordinal))
            ? names[0][..shared] + string.Join(", ", names.Select(name => name[shared..]))
            : string.Join(", ", names), ".N.");
    }

    [GeneratedRegex(@"\.\d+\.")]
    private static partial Regex Number();
}
