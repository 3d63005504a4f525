using MedVlm.Imaging;
using static MedVlm.Tests.Imaging.SampleImages;

namespace MedVlm.Tests.Imaging;

public sealed class RgbImageTests
{
    static readonly RgbImage Image = new(Width, Height, Bytes(3));

    [Fact]
    public void A_crop_takes_its_rectangle()
    {
        var crop = Image.Crop(5, 7, 20, 10);

        Assert.Equal((20, 10), (crop.Width, crop.Height));
        for (int y = 0; y < 10; y++)
            Assert.Equal(Image.Row(7 + y).Slice(5 * 3, 20 * 3).ToArray(), crop.Row(y).ToArray());
    }

    [Theory]
    [InlineData("Bilinear"), InlineData("Bicubic"), InlineData("Lanczos")]
    public void A_black_image_is_what_black_pixels_become(string filter)
    {
        var (black, pixels) = (RgbImage.Black(Width, Height), new RgbImage(Width, Height, new byte[Width * Height * 3]));
        foreach (var (image, expected) in (IEnumerable<(RgbImage, RgbImage)>)[
            (black, pixels), (Changed(black), Changed(pixels)), (black.Pad(90, 80, 3, 2, (7, 8, 9)), pixels.Pad(90, 80, 3, 2, (7, 8, 9)))])
        {
            Assert.Equal((expected.Width, expected.Height), (image.Width, image.Height));
            Assert.Equal(expected.Pixels, image.Pixels);
        }
        Assert.True(Changed(black).IsBlack);
        Assert.False(pixels.IsBlack);
        Assert.False(black.Pad(90, 80, 3, 2, (7, 8, 9)).IsBlack);

        RgbImage Changed(RgbImage image) => image.Resize(70, 33, Enum.Parse<Resample>(filter)).Crop(4, 5, 30, 20).Resize(11, 60, Enum.Parse<Resample>(filter));
    }

    [Theory]
    [InlineData(-1, 0, 5, 5)]
    [InlineData(0, -1, 5, 5)]
    [InlineData(Width - 4, 0, 5, 5)]
    [InlineData(0, Height - 4, 5, 5)]
    [InlineData(0, 0, 0, 5)]
    [InlineData(int.MaxValue, 0, int.MaxValue, 5)]
    public void A_crop_outside_the_image_is_refused(int x, int y, int width, int height) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Image.Crop(x, y, width, height));

    [Fact]
    public void Padding_surrounds_the_image_with_one_colour()
    {
        var padded = Image.Pad(Width + 10, Height + 4, 3, 2, (1, 2, 3));

        Assert.Equal(Image.Pixels, padded.Crop(3, 2, Width, Height).Pixels);
        Assert.Equal([1, 2, 3], padded.Row(0)[..3].ToArray());
        Assert.Equal([1, 2, 3], padded.Row(Height + 3)[^3..].ToArray());
        Assert.Equal([1, 2, 3], padded.Row(5).Slice(2 * 3, 3).ToArray());
    }

    // x y of a 3 x 2 picture as letters, row by row
    [Theory]
    [InlineData(0, "abc def")]
    [InlineData(1, "abc def")]
    [InlineData(2, "cba fed")]
    [InlineData(3, "fed cba")]
    [InlineData(4, "def abc")]
    [InlineData(5, "ad be cf")]
    [InlineData(6, "da eb fc")]
    [InlineData(7, "fc eb da")]
    [InlineData(8, "cf be ad")]
    [InlineData(9, "abc def")]
    public void Every_exif_orientation_is_applied(int orientation, string expected)
    {
        var letters = new RgbImage(3, 2, "abcdef".SelectMany(c => new[] { (byte)c, (byte)c, (byte)c }).ToArray());

        var oriented = letters.Orient(orientation);

        var rows = Enumerable.Range(0, oriented.Height)
            .Select(y => string.Concat(oriented.Row(y).ToArray().Where((_, i) => i % 3 == 0).Select(b => (char)b)));
        Assert.Equal(expected, string.Join(' ', rows));
    }

    [Fact]
    public void The_same_size_is_the_same_image() => Assert.Same(Image, Image.Resize(Width, Height, Resample.Lanczos));

    [Fact]
    public void Pixels_that_do_not_fit_the_size_are_refused() =>
        Assert.Throws<ArgumentException>(() => new RgbImage(2, 2, new byte[11]));
}
