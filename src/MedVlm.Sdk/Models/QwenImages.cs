using MedVlm.Imaging;
using Microsoft.Extensions.Options;

namespace MedVlm.Models;

/// <summary>preprocessor_config.json of Qwen2-VL and Qwen2.5-VL. The defaults are Qwen2VLImageProcessor's.</summary>
internal sealed record QwenProcessorConfig(
    float[] ImageMean, float[] ImageStd, int? MinPixels = null, int? MaxPixels = null, QwenProcessorConfig.Edges? Size = null,
    int PatchSize = 14, int TemporalPatchSize = 2, int MergeSize = 2, double RescaleFactor = 1 / 255.0,
    int Resample = QwenProcessorConfig.Bicubic, bool DoResize = true, bool DoRescale = true, bool DoNormalize = true)
{
    /// <summary>Pillow's number of the bicubic filter.</summary>
    public const int Bicubic = 3;

    /// <summary>The two bounds as newer files write them, in pixels of area in spite of the names.</summary>
    internal sealed record Edges(int ShortestEdge = 56 * 56, int LongestEdge = 28 * 28 * 1280);

    public int FewestPixels => MinPixels ?? Size?.ShortestEdge ?? new Edges().ShortestEdge;

    public int MostPixels => MaxPixels ?? Size?.LongestEdge ?? new Edges().LongestEdge;
}

/// <summary>Patches of an image: rows and columns, and how many on a side are merged into one image feature.</summary>
internal readonly record struct PatchGrid(int Rows, int Columns, int MergeSize)
{
    public int Patches => Rows * Columns;

    /// <summary>Rows of image features.</summary>
    public int FeatureRows => Rows / MergeSize;

    /// <summary>Image features in a row.</summary>
    public int FeatureColumns => Columns / MergeSize;

    public int Features => FeatureRows * FeatureColumns;

    /// <summary>Every patch in the order that the tower sees: features row by row, in each its patches row by row.</summary>
    public IEnumerable<(int Row, int Column)> InFeatureOrder()
    {
        for (int top = 0; top < Rows; top += MergeSize)
            for (int left = 0; left < Columns; left += MergeSize)
                for (int i = 0; i < MergeSize * MergeSize; i++)
                    yield return (top + i / MergeSize, left + i % MergeSize);
    }
}

/// <summary>Images of any size to patches: the size arithmetic and layout of Qwen2VLImageProcessor.</summary>
internal sealed class QwenImages
{
    // The reference refuses longer and narrower images.
    const int LargestAspectRatio = 200;

    readonly QwenProcessorConfig _config;

    /// <param name="config">The processor's settings.</param>
    /// <param name="tower">What the vision tower of the same checkpoint expects.</param>
    public QwenImages(QwenProcessorConfig config, IQwenTower tower)
    {
        _config = config;
        Setting.Same(config.PatchSize, tower.PatchSize);
        Setting.Same(config.MergeSize, tower.SpatialMergeSize);
        Setting.Same(config.TemporalPatchSize, tower.TemporalPatchSize);
        Unsupported.Unless(config.Resample == QwenProcessorConfig.Bicubic, "resample", $"{config.Resample}");
        Unsupported.Unless(config.DoResize, "do_resize", "false");
        Unsupported.Unless(config.DoRescale, "do_rescale", "false");
        Unsupported.Unless(config.DoNormalize, "do_normalize", "false");
        Unsupported.Unless(config.ImageMean.Length == RgbImage.Channels, "image_mean", $"of {config.ImageMean.Length} channels");
        Unsupported.Unless(config.ImageStd.Length == RgbImage.Channels, "image_std", $"of {config.ImageStd.Length} channels");
        if (config.FewestPixels < 1 || config.FewestPixels > config.MostPixels)
            throw new CheckpointException(
                $"preprocessor_config.json: min_pixels is {config.FewestPixels} and max_pixels {config.MostPixels}, but they must be positive "
                + "and in this order. The file is damaged: fetch it again.");
    }

    /// <summary>Values of one patch: channels, time (a still image is the same at each), rows, columns.</summary>
    public int PatchValues => RgbImage.Channels * _config.TemporalPatchSize * _config.PatchSize * _config.PatchSize;

    /// <summary>The patches of an image of this size.</summary>
    /// <exception cref="ImageException">The image is too long and narrow.</exception>
    /// <exception cref="OptionsValidationException">The request's bounds and the checkpoint's contradict each other.</exception>
    public PatchGrid Grid(int width, int height, ImageDetail detail)
    {
        var (min, max) = (detail.MinPixels ?? _config.FewestPixels, detail.MaxPixels ?? _config.MostPixels);
        if (min > max)
            throw new OptionsValidationException("", typeof(ImageDetail), [$"ImageDetail: MinPixels is {min}{Whose(detail.MinPixels)} and "
                + $"MaxPixels {max}{Whose(detail.MaxPixels)}, but the first must not be larger. Set both."]);
        if (Math.Max(width, height) > (long)LargestAspectRatio * Math.Min(width, height))
            throw new ImageException(
                $"The image is {width} x {height} pixels, but this model takes images whose longer side is at most {LargestAspectRatio} times the "
                + "shorter. Crop or pad it.");

        var (newWidth, newHeight) = WholeFeatures(width, height, min, max);
        return new PatchGrid(newHeight / _config.PatchSize, newWidth / _config.PatchSize, _config.MergeSize);

        static string Whose(int? requested) => requested is null ? " (the checkpoint's)" : "";
    }

    /// <summary>The nearest size of whole features with an area between the bounds (smart_resize), in the reference's order of rounding.</summary>
    (int Width, int Height) WholeFeatures(int width, int height, int min, int max)
    {
        int side = _config.PatchSize * _config.MergeSize;

        // Half to even, as Python rounds; a tiny side becomes 0, which the lower bound then lifts.
        long newWidth = (long)Math.Round((double)width / side) * side, newHeight = (long)Math.Round((double)height / side) * side;
        if (newWidth * newHeight > max)
        {
            double shrink = Math.Sqrt((double)((long)width * height) / max);
            return (Math.Max(side, (int)Math.Floor(width / shrink / side) * side), Math.Max(side, (int)Math.Floor(height / shrink / side) * side));
        }
        if (newWidth * newHeight < min)
        {
            double grow = Math.Sqrt(min / (double)((long)width * height));
            return ((int)Math.Ceiling(width * grow / side) * side, (int)Math.Ceiling(height * grow / side) * side);
        }
        return ((int)newWidth, (int)newHeight);
    }

    /// <summary>Resizes an image to its grid.</summary>
    public RgbImage Resize(RgbImage image, PatchGrid grid) =>
        image.Resize(grid.Columns * _config.PatchSize, grid.Rows * _config.PatchSize, Resample.Bicubic);

    /// <summary>Lays the patches of an image out after one another.</summary>
    /// <param name="pixels">Bytes of the image, resized to its grid.</param>
    /// <param name="grid">Its grid.</param>
    /// <param name="patches">Receives [patches, <see cref="PatchValues"/>], in feature order.</param>
    public void Fill(ReadOnlySpan<byte> pixels, PatchGrid grid, Span<float> patches)
    {
        int side = _config.PatchSize, area = side * side, width = grid.Columns * side;
        Span<float> tables = stackalloc float[RgbImage.Channels * 256];
        PixelValues.Tables(_config.RescaleFactor, _config.ImageMean, _config.ImageStd, tables);
        foreach (var (row, column) in grid.InFeatureOrder())
            for (int channel = 0; channel < RgbImage.Channels; channel++)
            {
                var table = tables.Slice(channel * 256, 256);
                var first = patches[..area];
                for (int y = 0; y < side; y++)
                {
                    var line = pixels.Slice(((row * side + y) * width + column * side) * RgbImage.Channels, side * RgbImage.Channels);
                    for (int x = 0; x < side; x++)
                        first[y * side + x] = table[line[x * RgbImage.Channels + channel]];
                }

                for (int time = 0; time < _config.TemporalPatchSize; time++, patches = patches[area..])
                    first.CopyTo(patches);
            }
    }
}
