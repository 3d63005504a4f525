using System.Text.Json;
using MedVlm.Devices;

namespace MedVlm.Benchmarks;

/// <summary>What a precision costs: captions of the TinyModel compared with those that FP32 gives and with the references that people wrote.</summary>
/// <param name="Captions">Captions, over all images and prompts.</param>
/// <param name="Identical">Those with the text that FP32 gives.</param>
/// <param name="RougeL">Mean ROUGE-L against the references, over the images' first prompt.</param>
/// <param name="RougeLFp32">The same of FP32's text.</param>
internal sealed record Quality(int Captions, int Identical, double RougeL, double RougeLFp32)
{
    /// <summary>Share of captions with FP32's text.</summary>
    public double IdenticalShare => (double)Identical / Captions;

    /// <summary>ROUGE-L relative to FP32's, minus one.</summary>
    public double RougeLChange => RougeL / RougeLFp32 - 1;

    /// <summary>Captions a folder of images with a references.json, whose "text" is FP32's (the parity tests prove that).</summary>
    /// <param name="precision">Number format.</param>
    /// <param name="gpu">Whether to run the graphs that a GPU is given (in FP16), on the CPU.</param>
    /// <param name="folder">The images.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="allPrompts">Whether each image is asked about in all of its ways.</param>
    public static async Task<Quality> MeasureAsync(Precision precision, bool gpu, string folder, CancellationToken cancellationToken, bool allPrompts = true)
    {
        var options = new MedicalCaptionerOptions { Precision = precision }.UseTinyModel();
        await using var captioner = gpu
            ? await MedicalCaptioner.LoadAsync(
                options, null, new() { ChooseDevice = _ => new DeviceChoice(ComputeDevice.Parse("16 GB"), null), EmulateCuda = true }, cancellationToken)
            : await MedicalCaptioner.LoadAsync(options, cancellationToken: cancellationToken);

        int captions = 0, identical = 0;
        var scores = new List<(double Actual, double Fp32)>();
        var entries = JsonSerializer.Deserialize<Entry[]>(
            File.ReadAllText(Path.Combine(folder, "references.json")), new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower })!;
        foreach (var entry in entries)
        {
            var image = MedicalImage.FromFile(Path.Combine(folder, entry.Image));
            foreach (var prompt in (Entry[])[entry, .. allPrompts ? entry.More ?? [] : []])
            {
                var caption = await captioner.CaptionAsync(
                    image, new CaptionOptions { Prompt = prompt.Prompt, MaxNewTokens = prompt.MaxNewTokens }, cancellationToken);
                captions++;
                if (caption.Text == prompt.Text)
                    identical++;
                if (prompt == entry)
                    scores.Add((Benchmarks.RougeL.Best(caption.Text, entry.References), Benchmarks.RougeL.Best(prompt.Text, entry.References)));
            }
        }
        return new Quality(captions, identical, scores.Average(score => score.Actual), scores.Average(score => score.Fp32));
    }

    sealed record Entry(string Prompt, int MaxNewTokens, string Text, string Image = "", string[] References = null!, Entry[]? More = null);
}

/// <summary>ROUGE-L (Lin 2004): F1 of the longest common subsequence of words, in lower case, letters and digits only.</summary>
internal static class RougeL
{
    /// <summary>The best score against any of the references.</summary>
    public static double Best(string text, IEnumerable<string> references) => references.Max(reference => Score(text, reference));

    public static double Score(string text, string reference)
    {
        string[] a = Words(text), b = Words(reference);
        var lengths = new int[a.Length + 1, b.Length + 1];
        for (int i = 1; i <= a.Length; i++)
            for (int j = 1; j <= b.Length; j++)
                lengths[i, j] = a[i - 1] == b[j - 1] ? lengths[i - 1, j - 1] + 1 : Math.Max(lengths[i - 1, j], lengths[i, j - 1]);
        return a.Length + b.Length == 0 ? 0 : 2.0 * lengths[a.Length, b.Length] / (a.Length + b.Length);
    }

    static string[] Words(string text) => new string([.. text.ToLowerInvariant().Select(c => char.IsLetterOrDigit(c) ? c : ' ')])
        .Split(' ', StringSplitOptions.RemoveEmptyEntries);
}
