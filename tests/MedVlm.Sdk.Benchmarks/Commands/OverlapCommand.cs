using System.Diagnostics;
using MedVlm.Inference;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Benchmarks.Commands;

/// <summary>
/// Whether the vision tower gains by running beside decode steps rather than between them: the same work one after the other and on two threads,
/// in turns, so that other load on the machine meets both.
/// </summary>
internal static class OverlapCommand
{
    public static void Run(Arguments arguments)
    {
        var folder = arguments.Word("checkpoint folder");
        int runs = arguments.Number("runs") ?? 5, images = arguments.Number("images") ?? 2, past = arguments.Number("past") ?? 400;
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder));
        using var model = DecoderCommand.Load(folder, arguments);
        var tile = VisionCommand.OneTile(model.Family);
        using var runOptions = new RunOptions();

        foreach (int rows in arguments.Numbers("rows", 8))
            foreach (int steps in arguments.Numbers("steps", 8))
            {
                using var cache = model.CreateCache(rows, (past + 256) / 256 * 256);
                using var step = new DecoderRun(model.Decoder, model.Family, cache, null, 0, rows, tokens: 1);
                DecoderCommand.Fill(step, model.Family, past);
                int[] lengths = [.. Enumerable.Repeat(past, rows)];

                var (apart, together) = (new List<double>(), new List<double>());
                for (int run = 0; run <= runs; run++)
                {
                    double one = Seconds(() =>
                    {
                        for (int i = 0; i < images; i++)
                        {
                            Vision();
                            Decode(steps);
                        }
                    });
                    double both = Seconds(() =>
                    {
                        var vision = Task.Factory.StartNew(() =>
                        {
                            for (int i = 0; i < images; i++)
                                Vision();
                        }, TaskCreationOptions.LongRunning);
                        Decode(images * steps);
                        vision.Wait();
                    });
                    if (run > 0)
                        (apart, together) = ([.. apart, one], [.. together, both]);
                }
                Print("vision between decode steps", apart, rows, steps);
                Print("vision beside decode steps", together, rows, steps);

                void Vision() => VisionGraph.Run(model.Vision, model.Family, [tile], null, 0, runOptions, CancellationToken.None);

                void Decode(int times)
                {
                    for (int i = 0; i < times; i++)
                        step.Run(lengths, runOptions);
                }
            }

        void Print(string what, List<double> seconds, int rows, int steps) => (Measurement.Of(what, "s", seconds) with
        {
            Model = name, Precision = arguments.PrecisionName(), Batch = rows, Threads = arguments.Threads(),
            Notes = new { images, tiles_each = 1, steps_each = steps, past },
        }).Print();
    }

    static double Seconds(Action work)
    {
        long start = Stopwatch.GetTimestamp();
        work();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
