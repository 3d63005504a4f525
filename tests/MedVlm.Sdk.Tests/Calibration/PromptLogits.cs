using MedVlm.Graphs;
using MedVlm.Imaging;
using MedVlm.Inference;
using MedVlm.Models;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Tests.Calibration;

/// <summary>What a model computes of a prompt.</summary>
internal static class PromptLogits
{
    /// <summary>The logits of a prompt's last token.</summary>
    public static Task<float[]> OfAsync(LoadedModel model, CaptionRequest request)
    {
        var numbers = ModelGraphs.Formats(model.Precision, DeviceKind.Cpu, model.Family.Shape.HeadSize).Decoder.Cache;
        return OfAsync(model.Family, model.Embeddings, model.Vision, model.Decoder, numbers, request);
    }

    /// <inheritdoc cref="OfAsync(LoadedModel, CaptionRequest)"/>
    public static async Task<float[]> OfAsync(
        ModelFamily family, TokenEmbeddings embeddings, GraphSession vision, GraphSession decoder, ElementType cacheNumbers, CaptionRequest request)
    {
        var images = new List<RgbImage>();
        foreach (var image in request.Images)
            images.Add(await image.DecodeAsync(new ImageLimits(), TestContext.Current.CancellationToken));
        return Of(family, embeddings, vision, decoder, cacheNumbers, family.Prepare(images, request.Options!.Prompt!, request.Options));
    }

    static float[] Of(ModelFamily family, TokenEmbeddings embeddings, GraphSession vision, GraphSession decoder, ElementType cacheNumbers, ModelInputs inputs)
    {
        using var memory = DeviceMemory.Host();
        using var cross = family.Shape.CrossLength > 0 ? KvCache.OfImages(family.Shape, 1, ElementType.Float32, memory) : null;
        using var cache = new KvCache(family.Shape, 1, Engine.CacheLength(inputs.PromptIds.Length), cacheNumbers, memory);
        using var runOptions = new RunOptions();
        ReadOnlySpan<float> features = VisionGraph.Run(vision, family, inputs.Vision, cross, 0, runOptions, TestContext.Current.CancellationToken);
        if (family.PrefixLength > 0)
            Run(0, family.PrefixLength, ref features);
        return Run(family.PrefixLength, inputs.PromptIds.Length, ref features);

        float[] Run(int first, int end, ref ReadOnlySpan<float> left)
        {
            using var run = new DecoderRun(decoder, family, cache, cross, 0, rows: 1, end - first);
            embeddings.Merge(family, inputs.PromptIds.AsSpan(first, end - first), first, ref left, run.Embeddings);
            family.Rotary?.Fill(inputs.Positions, first, run.Cos, run.Sin);
            run.Run([first], runOptions, seesAll: end <= family.PrefixLength);
            return [.. run.Logits];
        }
    }
}
