using System.Diagnostics;
using System.Text.Json;
using MedVlm.Imaging;

namespace MedVlm.Benchmarks.Commands;

/// <summary>
/// The TinyModel over thousands of generated images in a job of its own process: its speed and memory, and then again with the process killed at
/// random moments. Every id must come out once, with the caption of the run that nobody disturbed.
/// </summary>
internal static class JobCommand
{
    public const string Child = "job-run";

    const int Side = 64, MemoryEvery = 1000;

    public static async Task<int> RunAsync(Arguments arguments)
    {
        int images = arguments.Number("images") ?? 20_000, kills = arguments.Number("kills") ?? 30;
        var folder = Directory.CreateTempSubdirectory("medvlm-job-").FullName;
        try
        {
            WriteImages(folder, images);
            var (reference, killed) = (Path.Combine(folder, "reference.jsonl"), Path.Combine(folder, "killed.jsonl"));

            using (var process = Start(arguments, folder, reference))
                if (await EndAsync(process) is not 0 and var code)
                    return Complain($"The run without interruption ended with {code}.");

            long length = new FileInfo(reference).Length;
            var random = new Random(arguments.Number("seed") ?? 1);
            int restarts = 0;
            for (int kill = 1; kill <= kills; kill++)
            {
                using var process = Start(arguments, folder, killed);
                restarts++;
                long until = (long)(length * (kill - random.NextDouble()) / (kills + 1));
                while (!process.HasExited && (!File.Exists(killed) || new FileInfo(killed).Length < until))
                    await Task.Delay(5);
                await Task.Delay(random.Next(50));
                process.Kill();
                await process.WaitForExitAsync();
            }
            using (var process = Start(arguments, folder, killed))
                if (await EndAsync(process) is not 0 and var code)
                    return Complain($"The last run ended with {code}.");

            var (expected, found) = (Captions(reference), Captions(killed));
            int lines = File.ReadLines(killed).Count(), differing = expected.Count(pair => found.GetValueOrDefault(pair.Key) != pair.Value);
            new Measurement("captions after being killed that differ from an uninterrupted run's, or are missing or there twice", differing + (lines - found.Count), "captions")
            {
                Model = "TinyModel", Precision = "fp32", Notes = new { images, kills = restarts, lines, ids = found.Count },
            }.Print();
            return lines == images && found.Count == images && differing == 0 ? 0 : 1;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>What a process of its own does: the job, to its end.</summary>
    public static async Task<int> RunChildAsync(Arguments arguments)
    {
        var (folder, output) = (arguments.Word("folder"), arguments.Word("output"));
        await using var captioner = await MedicalCaptioner.LoadAsync(SteadyCommand.Options(arguments, arguments.Number("slots") ?? 8));
        var memory = new Memory();
        var report = await new CaptionJob(captioner, CaptionDataset.FromFolder(Path.Combine(folder, "images")), new CaptionJobOptions
        {
            Output = output, ProgressInterval = TimeSpan.Zero, Caption = new CaptionOptions { MaxNewTokens = arguments.Number("tokens") ?? 4 },
        }).RunAsync(memory);

        // A run that went on after a kill says nothing of speed.
        if (report.CaptionedNow == report.Total)
            new Measurement("job", report.CaptionedNow / report.Elapsed.TotalSeconds, "images/s")
            {
                Model = "TinyModel", Precision = "fp32", Batch = arguments.Number("slots") ?? 8, Threads = arguments.Threads(),
                Notes = new
                {
                    images = report.Total, tokens_per_s = Math.Round(report.TokensNow / report.Elapsed.TotalSeconds, 1), peak_mib_of_each_thousand = memory.Peaks,
                    last_to_first = memory.Peaks.Count > 1 ? Math.Round((double)memory.Peaks[^1] / memory.Peaks[0], 3) : 1,
                },
            }.Print();
        return report.Failed == 0 ? 0 : 1;
    }

    /// <summary>The peak of the process's memory during each thousand images, the first thousand after a warm-up of a hundred.</summary>
    sealed class Memory : IProgress<CaptionJobProgress>
    {
        long _next = 100;

        public List<long> Peaks { get; } = [];

        public void Report(CaptionJobProgress value)
        {
            if (value.CaptionedNow < _next)
                return;
            if (_next > 100)
                Peaks.Add(ProcessMemory.Now().Peak);
            ProcessMemory.ResetPeak();
            _next = (_next == 100 ? 0 : _next) + MemoryEvery;
        }
    }

    /// <summary>Images that differ: stripes whose direction, width and brightness come from the number.</summary>
    static void WriteImages(string folder, int count)
    {
        Directory.CreateDirectory(Path.Combine(folder, "images"));
        Parallel.For(0, count, number =>
        {
            var pixels = new byte[Side * Side * RgbImage.Channels];
            for (int i = 0; i < Side * Side; i++)
                pixels.AsSpan(i * RgbImage.Channels, RgbImage.Channels).Fill(
                    (byte)(128 + 90 * Math.Sin((i % Side * (number % 7) + i / Side * (number % 11)) * (0.05 + number % 97 / 200.0)) + number % 37));
            File.WriteAllBytes(Path.Combine(folder, "images", $"{number:D6}.png"), PngEncoder.Encode(new RgbImage(Side, Side, pixels)));
        });
    }

    static Process Start(Arguments arguments, string folder, string output)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, [Child, folder, output]);
        foreach (var option in (string[])["threads", "slots", "tokens", "vision-cache-mib"])
            if (arguments.Text(option) is { } value)
            {
                start.ArgumentList.Add($"--{option}");
                start.ArgumentList.Add(value);
            }
        // Under "dotnet program.dll" the process is dotnet itself.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Insert(0, typeof(JobCommand).Assembly.Location);
        return Process.Start(start)!;
    }

    static async Task<int> EndAsync(Process process)
    {
        await process.WaitForExitAsync();
        return process.ExitCode;
    }

    static int Complain(string message)
    {
        Console.Error.WriteLine(message);
        return 1;
    }

    static Dictionary<string, string> Captions(string path)
    {
        var captions = new Dictionary<string, string>();
        foreach (var line in File.ReadLines(path))
        {
            using var json = JsonDocument.Parse(line);
            captions[json.RootElement.GetProperty("id").GetString()!] = json.RootElement.GetProperty("caption").GetString()!;
        }
        return captions;
    }
}
