using System.Diagnostics;
using System.Text.Json;
using MedVlm.Benchmarks.Synthetic;
using MedVlm.Evaluation;

namespace MedVlm.Benchmarks.Commands;

/// <summary>BERTScore over made-up pairs: how many per second, so how long a data set would take.</summary>
internal static class BertScoreCommand
{
    const int RocoImages = 79_789;

    public static async Task RunAsync(Arguments arguments)
    {
        var name = arguments.Word("checkpoint folder");
        var pairs = Pairs(arguments.Number("pairs") ?? 2000, Words());
        var folder = SyntheticEncoder.Knows(name) ? Path.Combine(Path.GetTempPath(), $"medvlm-{name}-{Guid.NewGuid():N}") : null;
        try
        {
            if (folder is not null)
                SyntheticEncoder.Write(name, arguments.Text("vocabulary") ?? Vocabulary(), folder);
            await MeasureAsync(arguments, name, folder ?? name, pairs).ConfigureAwait(false);
        }
        finally
        {
            if (folder is not null && Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
        }
    }

    static async Task MeasureAsync(Arguments arguments, string name, string folder, CaptionPair[] pairs)
    {
        int? layer = arguments.Number("layer") ?? (SyntheticEncoder.Knows(name) ? SyntheticEncoder.Layers(name) : null);
        long load = Stopwatch.GetTimestamp();
        using var encoder = await BertScoreEncoder.LoadAsync(folder, layer, arguments.Number("threads")).ConfigureAwait(false);
        double loadSeconds = Stopwatch.GetElapsedTime(load).TotalSeconds;

        var scorer = new BertScorer(encoder, new() { Idf = true });
        await scorer.ScoreAsync([.. pairs.Take(pairs.Length / 20 + 1)]).ConfigureAwait(false);
        var before = Environment.CpuUsage.TotalTime;
        long start = Stopwatch.GetTimestamp();
        await scorer.ScoreAsync(pairs).ConfigureAwait(false);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var processor = Environment.CpuUsage.TotalTime - before;

        long tokens = pairs.Sum(pair => (long)encoder.Tokenizer.Encode(pair.References[0]).Length + encoder.Tokenizer.Encode(pair.Candidate).Length);
        new Measurement("bertscore", Math.Round(pairs.Length / seconds, 2), "pairs/s")
        {
            Model = SyntheticEncoder.Knows(name) ? $"{name}, random weights" : Path.GetFileName(Path.TrimEndingDirectorySeparator(name)), Precision = "fp32",
            Threads = arguments.Threads(), Runs = 1, ProcessorMs = Math.Round(processor.TotalMilliseconds),
            Notes = new
            {
                pairs = pairs.Length, encoder.Layer, seconds = Math.Round(seconds, 1), tokens_per_text = Math.Round(tokens / 2.0 / pairs.Length, 1),
                load_s = Math.Round(loadSeconds, 2), extrapolated_hours_for_79789_pairs = Math.Round(RocoImages * seconds / pairs.Length / 3600, 2),
            },
        }.Print();
    }

    static string Vocabulary() => Places.InCheckout("..", "shared", "tokenizers", "blip", "vocab.txt") is var path && File.Exists(path)
        ? path
        : throw new UsageException("Give a vocab.txt of BERT by --vocabulary FILE: it is the publisher's, and no part of this project.");

    /// <summary>The words of our own golden captions, each as often as it stands there: so texts have as many tokens a word as real ones.</summary>
    static string[] Words()
    {
        using var metrics = JsonDocument.Parse(File.ReadAllBytes(Places.InCheckout("tests", "goldens", "components", "metrics", "metrics.json")));
        return [.. metrics.RootElement.GetProperty("pairs").EnumerateArray()
            .SelectMany(pair => pair.GetProperty("refs")[0].GetString()!.Split(' ', StringSplitOptions.RemoveEmptyEntries))];
    }

    /// <summary>Pairs with ROCOv2's lengths (log-normal, median 16 words, mean 20), no text twice; a quarter of the candidate's words differ.</summary>
    static CaptionPair[] Pairs(int count, string[] words)
    {
        var random = new Random(1);
        return [.. Enumerable.Range(0, count).Select(i =>
        {
            double normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            string[] reference = [.. Enumerable.Range(0, Math.Clamp((int)(16 * Math.Exp(0.66 * normal)), 2, 400)).Select(_ => Word())];
            return new CaptionPair($"{i}", [string.Join(' ', reference)], string.Join(' ', reference.Select(word => random.Next(4) == 0 ? Word() : word)));
        })];

        string Word() => words[random.Next(words.Length)];
    }
}
