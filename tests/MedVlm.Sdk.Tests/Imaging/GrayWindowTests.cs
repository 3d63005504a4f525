using System.Runtime.InteropServices;
using MedVlm.Imaging;
using NetVips;
using static MedVlm.Tests.Imaging.SampleImages;

namespace MedVlm.Tests.Imaging;

public sealed class GrayWindowTests
{
    static readonly string Gray16 = Path.Combine(TestFolders.Goldens, "images", "gray16_200x240.png");

    [Fact]
    public void Sixteen_bit_grey_uses_its_full_range_unless_a_window_is_given()
    {
        if (!File.Exists(Gray16))
            Assert.Skip("This goldens folder has no 16-bit image.");
        var stored = Stored(Gray16);
        Assert.Contains(stored, v => v > 255);

        Assert.Equal(Gray(stored.Select(v => (byte)(v >> 8))), Decode(File.ReadAllBytes(Gray16)).Pixels);
    }

    [Fact]
    public void A_window_spreads_its_values_from_black_to_white()
    {
        if (!File.Exists(Gray16))
            Assert.Skip("This goldens folder has no 16-bit image.");
        var stored = Stored(Gray16);
        var window = new GrayWindow(stored.Min(), stored.Max());

        var pixels = Decode(File.ReadAllBytes(Gray16), window).Pixels;

        Assert.Equal(Gray(stored.Select(v => (byte)Math.Floor((v - window.Low) / (window.High - window.Low) * 255 + 0.5))), pixels);
        Assert.Equal((0, 255), (pixels.Min(), pixels.Max()));
    }

    [Theory]
    [InlineData(-1e9, 0)]
    [InlineData(-1000, 0)]
    [InlineData(-999.9, 0)]
    [InlineData(-996, 1)]      // 0.51 levels: rounded half up
    [InlineData(0, 128)]       // 127.5
    [InlineData(992, 254)]     // 253.98
    [InlineData(1000, 255)]
    [InlineData(double.PositiveInfinity, 255)]
    [InlineData(double.NaN, 0)]
    public void Values_are_mapped_linearly_and_rounded_half_up(double value, int expected) =>
        Assert.Equal(expected, new GrayWindow(-1000, 1000).Map(value));

    [Theory]
    [InlineData(5, 5)]
    [InlineData(5, 4)]
    [InlineData(double.NaN, 4)]
    [InlineData(0, double.PositiveInfinity)]
    public void A_window_without_width_is_refused(double low, double high) =>
        Assert.Throws<ArgumentException>(() => new GrayWindow(low, high));

    [Theory]
    [InlineData(Enums.BandFormat.Short)]
    [InlineData(Enums.BandFormat.Int)]
    [InlineData(Enums.BandFormat.Uint)]
    [InlineData(Enums.BandFormat.Float)]
    public void A_window_reads_every_number_type_of_a_tiff(Enums.BandFormat format)
    {
        using var bytes = Image.NewFromMemory(Bytes(1), Width, Height, 1, Enums.BandFormat.Uchar);
        using var image = (bytes * 4).Cast(format).Copy(interpretation: Enums.Interpretation.Bw);

        Assert.Equal(Gray(Bytes(1)), Decode(image.WriteToBuffer(".tif"), new GrayWindow(0, 1020)).Pixels);
    }

    [Fact]
    public void Signed_sixteen_bit_grey_has_zero_in_the_middle()
    {
        var samples = MemoryMarshal.AsBytes(Enumerable.Range(0, Width * Height).Select(i => (short)(i * 29 - 32768)).ToArray().AsSpan()).ToArray();

        var pixels = Decode(Encode(samples, 1, ".tif", Enums.BandFormat.Short)).Pixels;

        Assert.Equal(Gray(Enumerable.Range(0, Width * Height).Select(i => (byte)(i * 29 >> 8))), pixels);
    }

    [Fact]
    public void Floating_point_without_a_window_is_refused()
    {
        var file = Encode(MemoryMarshal.AsBytes(new float[Width * Height].AsSpan()).ToArray(), 1, ".tif", Enums.BandFormat.Float);

        var e = Assert.Throws<ImageException>(() => Decode(file));

        Assert.Equal("The TIFF image has grey values of type Single, which has no natural black and white. Give a GrayWindow.", e.Message);
    }

    [Fact]
    public void A_window_on_a_colour_image_is_refused()
    {
        var e = Assert.Throws<ImageException>(() => Decode(All["PNG"], new GrayWindow(0, 100)));

        Assert.Equal("The PNG image is in colour, to which a GrayWindow does not apply. Leave the window out.", e.Message);
    }

    static RgbImage Decode(byte[] file, GrayWindow? window = null) =>
        ImageDecoder.Decode(file, window, new(), TestContext.Current.CancellationToken);

    static ushort[] Stored(string path)
    {
        LibVips.Start();
        using var image = Image.PngloadBuffer(File.ReadAllBytes(path));
        return image.WriteToMemory<ushort>();
    }

    static IEnumerable<byte> Gray(IEnumerable<byte> values) => values.SelectMany(v => new[] { v, v, v });
}
