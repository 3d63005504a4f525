using MedVlm;

namespace DocumentationSnippets;

internal static class ImageDetails
{
    public static async Task<Caption> RunAsync(IMedicalCaptioner captioner, string path)
    {
        // snippet: image-detail
        var quick = new CaptionOptions
        {
            Prompt = "Provide a concise medical caption for this radiology image.",
            MaxNewTokens = 64,
            ImageDetail = new ImageDetail { SplitIntoTiles = false },   // the whole image as one tile
        };
        var caption = await captioner.CaptionAsync(MedicalImage.FromFile(path), quick);
        // end
        return caption;
    }

    public static async Task<Caption> BoundedAsync(IMedicalCaptioner captioner, string path)
    {
        // snippet: pixel-bounds
        var quick = new CaptionOptions
        {
            Prompt = "Provide a concise medical caption for this radiology image.",
            MaxNewTokens = 64,
            ImageDetail = new ImageDetail { MaxPixels = 400_000 },   // at most about 510 image features
        };
        var caption = await captioner.CaptionAsync(MedicalImage.FromFile(path), quick);
        // end
        return caption;
    }
}
