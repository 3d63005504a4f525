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
}
