using System.Diagnostics;

namespace MedVlm.Benchmarks.Commands;

/// <summary>The TinyModel on the sample images: how long a new process takes to its first caption, and the speed from then on.</summary>
internal static class SteadyCommand
{
    public const string FirstCaption = "first-caption";

    public static async Task RunAsync(Arguments arguments)
    {
        var (images, seconds) = (Images(), arguments.Number("seconds") ?? 5);
        int starts = arguments.Number("runs") ?? 10;
        var cold = new List<double>();
        for (int i = 0; i < starts; i++)
            cold.Add(ColdStart(arguments));
        Print(Measurement.Of("cold process to the first caption", "s", cold), null);

        foreach (int slots in arguments.Numbers("slots", 1, 4, 8))
        {
            await using var captioner = await MedicalCaptioner.LoadAsync(Options(arguments, slots));
            foreach (var image in images)
                await captioner.CaptionAsync(image);

            if (slots == 1)
                Print(await RateAsync("captions, one after another", seconds, async () =>
                {
                    foreach (var image in images)
                        await captioner.CaptionAsync(image);
                    return images.Count;
                }), slots);

            Print(await RateAsync("captions, as a batch", seconds, async () =>
            {
                int done = 0;
                var requests = Enumerable.Repeat(images, 4).SelectMany(image => image).Select(image => new CaptionRequest(image));
                await foreach (var _ in captioner.CaptionBatchAsync(requests.ToAsyncEnumerable()))
                    done++;
                return done;
            }), slots);
        }

        void Print(Measurement measurement, int? slots) =>
            (measurement with { Model = "TinyModel", Precision = "fp32", Batch = slots, Threads = arguments.Threads() }).Print();
    }

    /// <summary>What the new process does: one caption, and the time of its stages since the process began.</summary>
    public static async Task FirstCaptionAsync(Arguments arguments)
    {
        var main = SinceStart();
        await using var captioner = await MedicalCaptioner.LoadAsync(Options(arguments, slots: 4));
        var loaded = SinceStart();
        var caption = await captioner.CaptionAsync(MedicalImage.FromFile(arguments.Word("image")));
        Console.WriteLine(caption.Text);
        Console.Error.WriteLine(
            $"main {main:0} ms, loaded {loaded:0}, captioned {SinceStart():0} (preprocess {caption.Timings.Preprocess.TotalMilliseconds:0}, "
            + $"vision {caption.Timings.Vision.TotalMilliseconds:0}, prefill {caption.Timings.Prefill.TotalMilliseconds:0}, "
            + $"decode {caption.Timings.Decode.TotalMilliseconds:0} for {caption.TokenIds.Count} tokens)");

        static double SinceStart()
        {
            using var self = Process.GetCurrentProcess();
            return (DateTime.Now - self.StartTime).TotalMilliseconds;
        }
    }

    /// <summary>Seconds from starting a process to the line that it prints.</summary>
    static double ColdStart(Arguments arguments)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, [FirstCaption, ImageFiles()[0], "--threads", $"{arguments.Threads()}"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        };
        // Under "dotnet program.dll" the process is dotnet itself.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Insert(0, typeof(SteadyCommand).Assembly.Location);

        long begin = Stopwatch.GetTimestamp();
        using var process = Process.Start(start)!;
        var line = process.StandardOutput.ReadLine();
        double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        var stages = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (arguments.Has("stages"))
            Console.Error.Write(stages);
        return line is { Length: > 0 } ? seconds : throw new UsageException($"The new process printed no caption. {stages}");
    }

    /// <summary>Repeats some work for a while.</summary>
    static async Task<Measurement> RateAsync(string what, int seconds, Func<Task<int>> work)
    {
        var rates = new List<double>();
        for (long begin = Stopwatch.GetTimestamp(); rates.Count < 3 || Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds;)
        {
            long start = Stopwatch.GetTimestamp();
            int done = await work();
            rates.Add(done / Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return Measurement.Of(what, "captions/s", rates);
    }

    public static MedicalCaptionerOptions Options(Arguments arguments, int slots) =>
        new MedicalCaptionerOptions
        {
            Slots = slots, Threads = arguments.Number("threads"), VisionCacheMiB = arguments.Number("vision-cache-mib") ?? new MedicalCaptionerOptions().VisionCacheMiB,
        }.UseTinyModel();

    /// <summary>The sample images, read into memory: what is measured begins with decoding them.</summary>
    public static IReadOnlyList<MedicalImage> Images() => [.. ImageFiles().Select(file => MedicalImage.FromBytes(File.ReadAllBytes(file)))];

    static IReadOnlyList<string> ImageFiles() =>
    [
        .. Directory.EnumerateFiles(Places.InCheckout("samples", "images"))
            .Where(file => Path.GetExtension(file) is ".jpg" or ".png" or ".tiff")
            .Order(StringComparer.Ordinal),
    ];
}
