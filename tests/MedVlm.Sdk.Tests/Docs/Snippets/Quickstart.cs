// snippet: quickstart
using MedVlm;
// end

namespace DocumentationSnippets;

internal static class Quickstart
{
    public static async Task RunAsync(string[] args)
    {
        // snippet: quickstart
        // The embedded demonstration model. Others: a checkpoint folder, or a hub id that is in the local Hugging Face cache.
        await using var captioner = await MedicalCaptioner.LoadAsync(TinyModel.Path);

        await foreach (var update in captioner.CaptionStreamingAsync(MedicalImage.FromFile(args[0])))
        {
            Console.Write(update.Text);
            if (update.Caption is { } caption)
                Console.WriteLine($" (confidence {caption.Confidence:F2}, {caption.Timings.Total.TotalMilliseconds:F0} ms)");
        }
        // end
    }
}
