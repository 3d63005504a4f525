using System.ComponentModel.DataAnnotations;

namespace MedVlm;

/// <summary>How finely a model looks at an image: the lever between speed and detail. Unset members are the checkpoint's own.</summary>
public sealed record ImageDetail
{
    /// <summary>
    /// Longer side, in pixels, that an image is brought to before it is cut into tiles (SmolVLM, Idefics3). Twice the edge is four
    /// times the tiles and about four times the work. Default: null, the checkpoint's (2048 in SmolVLM-500M). Range: 1 to 4096.
    /// </summary>
    [Range(1, 4096)]
    public int? LongestEdge { get; set; }

    /// <summary>
    /// Whether an image is cut into tiles, beside the whole image as one more, or seen as one tile only (SmolVLM, Idefics3).
    /// Default: null, the checkpoint's (true in SmolVLM-500M).
    /// </summary>
    public bool? SplitIntoTiles { get; set; }

    /// <summary>
    /// Pixels that an image is brought up to at least, aspect ratio kept (Qwen2-VL, Qwen2.5-VL). Default: null, the checkpoint's
    /// (3136, four patches of 28 x 28). Range: 1 to 100 million.
    /// </summary>
    [Range(1, 100_000_000)]
    public int? MinPixels { get; set; }

    /// <summary>
    /// Pixels that an image is brought down to at most, aspect ratio kept (Qwen2-VL, Qwen2.5-VL): one token for every 784 of them.
    /// Default: null, the checkpoint's (12845056, up to 16384 tokens). Range: 1 to 100 million.
    /// </summary>
    [Range(1, 100_000_000)]
    public int? MaxPixels { get; set; }

    /// <summary>
    /// Crops that an image is cut into at most, beside the whole image as one more (Phi-3.5-Vision). Default: null, the checkpoint's
    /// (4 in Phi-3.5-Vision). Range: 1 to 64.
    /// </summary>
    [Range(1, 64)]
    public int? MaxCrops { get; set; }
}
