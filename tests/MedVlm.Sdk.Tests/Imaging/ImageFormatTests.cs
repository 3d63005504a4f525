using MedVlm.Imaging;
using NetVips;
using static MedVlm.Tests.Imaging.SampleImages;

namespace MedVlm.Tests.Imaging;

/// <summary>Formats and pixel kinds for which no golden exists: lossless files give back what went in.</summary>
public sealed class ImageFormatTests
{
    public static TheoryData<string> Samples => [.. All.Keys];

    [Theory, MemberData(nameof(Samples))]
    public void Every_format_is_read(string name)
    {
        var image = Decode(All[name]);

        Assert.Equal((Width, Height), (image.Width, image.Height));
    }

    [Theory]
    [InlineData(".png")]
    [InlineData(".png[interlace]")]
    [InlineData(".tif")]
    [InlineData(".tif[compression=lzw]")]
    [InlineData(".tif[compression=packbits]")]
    [InlineData(".tif[tile,tile-width=16,tile-height=16,compression=deflate]")]
    [InlineData(".tif[bigtiff]")]
    [InlineData(".webp[lossless]")]
    public void Lossless_rgb_comes_back_as_it_was(string encoder) => Assert.Equal(Bytes(3), Decode(Encode(Bytes(3), 3, encoder)).Pixels);

    [Theory]
    [InlineData(".png")]
    [InlineData(".tif")]
    [InlineData(".webp[lossless,exact]")]
    public void Alpha_is_dropped_and_not_blended(string encoder)
    {
        var rgba = Bytes(4);

        Assert.Equal(rgba.Where((_, i) => i % 4 != 3), Decode(Encode(rgba, 4, encoder)).Pixels);
    }

    [Theory]
    [InlineData(1, ".png")]
    [InlineData(1, ".tif")]
    [InlineData(2, ".png")]
    public void Grey_is_repeated(int bands, string encoder)
    {
        var expected = Bytes(bands).Where((_, i) => i % bands == 0).SelectMany(v => new[] { v, v, v });

        Assert.Equal(expected, Decode(Encode(Bytes(bands), bands, encoder)).Pixels);
    }

    [Theory]
    [InlineData(".png[bitdepth=1]")]
    [InlineData(".tif[bitdepth=1]")]
    [InlineData(".tif[bitdepth=1,miniswhite]")]
    public void One_bit_is_black_or_white(string encoder)
    {
        var bits = Bytes(1).Select(v => v < 128 ? (byte)0 : (byte)255).ToArray();

        Assert.Equal(bits.SelectMany(v => new[] { v, v, v }), Decode(Encode(bits, 1, encoder)).Pixels);
    }

    [Theory]
    [InlineData(".png")]
    [InlineData(".tif")]
    public void Sixteen_bit_rgb_keeps_its_high_bytes(string encoder)
    {
        var samples = Bytes(6);   // little-endian

        Assert.Equal(samples.Where((_, i) => i % 2 == 1), Decode(Encode(samples, 3, encoder, Enums.BandFormat.Ushort)).Pixels);
    }

    [Fact]
    public void A_palette_with_transparency_is_looked_up_and_its_alpha_dropped()
    {
        var rgba = new byte[Width * Height * 4];
        for (int i = 0; i < rgba.Length; i += 4)
            (rgba[i], rgba[i + 1], rgba[i + 2], rgba[i + 3]) = (i / 4 % 3) switch
            {
                0 => ((byte)200, (byte)10, (byte)20, (byte)255),
                1 => ((byte)30, (byte)190, (byte)40, (byte)128),
                _ => ((byte)50, (byte)60, (byte)180, (byte)64),
            };
        var png = Encode(rgba, 4, ".png[palette,bitdepth=2,dither=0,Q=100]");
        Assert.True(png.AsSpan().IndexOf("tRNS"u8) > 0);

        var pixels = Decode(png).Pixels;

        Assert.All(rgba.Where((_, i) => i % 4 != 3).Zip(pixels), pair => Assert.InRange(pair.Second - pair.First, -2, 2));   // the quantiser rounds
    }

    [Fact]
    public void The_first_frame_of_an_animation_is_taken()
    {
        byte[] white = [.. Enumerable.Repeat((byte)255, Width * Height * 3)], black = new byte[white.Length];
        foreach (var suffix in new[] { ".gif", ".webp[lossless]" })
        {
            using var raw = Image.NewFromMemory(white.Concat(black).ToArray(), Width, 2 * Height, 3, Enums.BandFormat.Uchar);
            using var film = raw.Copy(interpretation: Enums.Interpretation.Srgb).Mutate(m => m.Set(GValue.GIntType, "page-height", Height));

            var image = Decode(film.WriteToBuffer(suffix));

            Assert.Equal((Width, Height), (image.Width, image.Height));
            Assert.All(image.Pixels, v => Assert.Equal(255, v));
        }
    }

    [Theory]
    [InlineData(".png")]
    [InlineData(".tif")]
    [InlineData(".webp[lossless]")]
    public void The_orientation_is_applied_in_every_format_that_has_one(string encoder)
    {
        using var raw = Image.NewFromMemory(Bytes(3), Width, Height, 3, Enums.BandFormat.Uchar);
        using var turned = raw.Copy(interpretation: Enums.Interpretation.Srgb).Mutate(m => m.Set(GValue.GIntType, "orientation", 6));

        var image = Decode(turned.WriteToBuffer(encoder));

        Assert.Equal((Height, Width), (image.Width, image.Height));
        Assert.Equal(new RgbImage(Width, Height, Bytes(3)).Orient(6).Pixels, image.Pixels);
    }

    [Fact]
    public void A_cmyk_jpeg_without_an_adobe_segment_is_read_the_same()
    {
        var adobe = All["JPEG CMYK"];
        int at = adobe.AsSpan().IndexOf([(byte)0xFF, (byte)0xEE]), length = 2 + adobe[at + 3];
        Assert.True(at > 0 && adobe[at + 4] == 'A');

        var pixels = Decode([.. adobe[..at], .. adobe[(at + length)..]]).Pixels;

        Assert.Equal(Decode(adobe).Pixels, pixels);   // Pillow takes the ink of every CMYK JPEG for inverted
    }

    [Fact]
    public void A_large_radiograph_in_one_strip_is_read()
    {
        var samples = Bytes(2, 4000, 3000);

        var image = Decode(Encode(samples, 1, ".tif", Enums.BandFormat.Ushort, width: 4000, height: 3000,
            options: new() { { "tile", true }, { "tile_width", 4096 }, { "tile_height", 4096 } }));

        Assert.Equal((4000, 3000), (image.Width, image.Height));
    }

    static RgbImage Decode(byte[] file) => ImageDecoder.Decode(file, null, new(), TestContext.Current.CancellationToken);
}
