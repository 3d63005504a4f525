using System.Security.Cryptography;
using System.Text.Json;
using MedVlm.Imaging;

namespace MedVlm.Tests.Imaging;

/// <summary>Files decode to the pixels that Pillow gives: goldens/images and goldens/components/resize/jpeg.</summary>
[Trait("Category", "Golden")]
public sealed class DecodeGoldenTests
{
    static readonly string Images = Path.Combine(TestFolders.Goldens, "images");
    static readonly string Jpegs = Path.Combine(TestFolders.Goldens, "components", "resize");
    static readonly JsonElement Decoded = Read(Path.Combine(Images, "decoded.json"));
    static readonly JsonElement JpegFiles = Read(Path.Combine(Jpegs, "jpeg.json"));

    // Pillow clips 16-bit grey to 255 on conversion; a window takes the place of that here (GrayWindowTests).
    public static TheoryData<string> ImageNames =>
        [.. Decoded.EnumerateObject().Where(e => !e.Value.GetProperty("mode").GetString()!.StartsWith("I", StringComparison.Ordinal)).Select(e => e.Name)];

    public static TheoryData<string> JpegNames => [.. JpegRows.Select(r => r.GetProperty("file").GetString()!)];

    static IEnumerable<JsonElement> JpegRows => JpegFiles.TryGetProperty("files", out var files) ? files.EnumerateArray() : [];

    [Theory(SkipTestWithoutData = true), MemberData(nameof(ImageNames))]
    public void Images_decode_as_the_reference_loads_them(string name)
    {
        var expected = Decoded.GetProperty(name);
        var image = Decode(Path.Combine(Images, name));

        Assert.Equal(expected.GetProperty("size").EnumerateArray().Select(n => n.GetInt32()), [image.Width, image.Height]);
        foreach (var probe in expected.GetProperty("pixels_xy_rgb").EnumerateArray())
        {
            var (x, y) = (probe[0].GetInt32(), probe[1].GetInt32());
            Assert.Equal([probe[2].GetByte(), probe[3].GetByte(), probe[4].GetByte()], image.Row(y).Slice(x * 3, 3).ToArray());
        }

        Assert.Equal(expected.GetProperty("rgb_sha256").GetString(), Sha256(image.Pixels));
    }

    [Theory(SkipTestWithoutData = true), MemberData(nameof(JpegNames))]
    public void Jpeg_files_decode_as_libjpeg_turbo_decodes_them(string name)
    {
        var row = JpegRows.Single(r => r.GetProperty("file").GetString() == name);
        if (!row.TryGetProperty("rgb_sha256", out var sha256) || sha256.ValueKind != JsonValueKind.String)
        {
            Assert.Throws<ImageException>(() => Decode(Path.Combine(Jpegs, name)));
            return;
        }

        var oriented = Find(row, "exif_transposed_rgb") ?? row.GetProperty("rgb").GetString()!;
        var expected = Decode(Path.Combine(Jpegs, oriented));   // a lossless PNG
        var image = Decode(Path.Combine(Jpegs, name));

        Assert.Equal((expected.Width, expected.Height), (image.Width, image.Height));
        Assert.Equal(0, expected.Pixels.Zip(image.Pixels, (a, b) => Math.Abs(a - b)).Max());   // where they differ, this says by how much
        if (oriented == Find(row, "rgb"))
            Assert.Equal(sha256.GetString(), Sha256(image.Pixels));
    }

    static RgbImage Decode(string path) => ImageDecoder.Decode(File.ReadAllBytes(path), null, new(), TestContext.Current.CancellationToken);

    static string? Find(JsonElement row, string key) =>
        row.TryGetProperty(key, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    static JsonElement Read(string path) => JsonDocument.Parse(File.Exists(path) ? File.ReadAllText(path) : "{}").RootElement;

    static string Sha256(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
