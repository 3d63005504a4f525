using System.Buffers.Binary;
using System.Diagnostics;
using MedVlm.Imaging;
using static MedVlm.Tests.Imaging.SampleImages;

namespace MedVlm.Tests.Imaging;

public sealed class DamagedImageTests
{
    public static TheoryData<string> Samples => [.. All.Keys];

    [Theory]
    [InlineData("", "The image is empty: it has 0 bytes. Copy or export it again.")]
    [InlineData("Findings: none.", "The data is in no image format that is read: JPEG, PNG, TIFF, WebP, GIF, AVIF. Convert it to one of these.")]
    [InlineData("<svg xmlns='http://www.w3.org/2000/svg'/>", "The data is in no image format that is read: JPEG, PNG, TIFF, WebP, GIF, AVIF. Convert it to one of these.")]
    [InlineData("%PDF-1.7", "The data is in no image format that is read: JPEG, PNG, TIFF, WebP, GIF, AVIF. Convert it to one of these.")]
    [InlineData("GIF89a", "The GIF image cannot be opened: its header is damaged, or uses a variant that is not read. Export it again, as 8-bit or 16-bit PNG if it keeps failing.")]
    public void What_is_no_image_is_refused(string text, string message) =>
        Assert.Equal(message, Assert.Throws<ImageException>(() => Decode(System.Text.Encoding.ASCII.GetBytes(text))).Message);

    [Fact]
    public void Dicom_is_refused_by_name() =>
        Assert.Equal(
            "The image is a DICOM file, which is not read yet. Convert it to PNG or TIFF (16-bit grey keeps its depth).",
            Assert.Throws<ImageException>(() => Decode([.. new byte[128], .. "DICM"u8, .. new byte[64]])).Message);

    [Theory, MemberData(nameof(Samples))]
    public void A_file_that_is_cut_off_is_refused(string name)
    {
        var file = All[name];
        foreach (double share in new[] { 0.1, 0.3, 0.5, 0.7, 0.9 })
            Assert.Throws<ImageException>(() => Decode(file[..(int)(file.Length * share)]));
    }

    [Fact]
    public void The_message_says_where_decoding_stopped()
    {
        var png = All["PNG"];

        var e = Assert.Throws<ImageException>(() => Decode(png[..(png.Length / 2)]));

        Assert.Equal(
            "The PNG image is damaged or cut off: of its 61 x 37 pixels, rows 0 to 36 cannot be decoded. Copy or export it again.", e.Message);
    }

    [Fact]
    public void A_damaged_row_of_pixels_is_refused()
    {
        var png = (byte[])All["PNG"].Clone();
        png[png.Length / 2] ^= 0x10;

        Assert.Throws<ImageException>(() => Decode(png));
    }

    [Theory]
    [InlineData(60_000, 60_000, "The PNG is 60000 x 60000 pixels, more than the 100000000 pixels that ImageLimits.MaxPixels allows. Scale it down, or raise the limit if the source is trusted.")]
    [InlineData(70_000, 1, "The PNG is 70000 x 1 pixels; no side may be longer than 65535. Cut or scale it down.")]
    public void A_bomb_is_refused_before_memory_is_taken(int width, int height, string message)
    {
        var bomb = PngHeader(width, height);
        Assert.Throws<ImageException>(() => Decode(bomb));   // loads libvips
        long allocated = GC.GetAllocatedBytesForCurrentThread(), resident = Process.GetCurrentProcess().PeakWorkingSet64;
        var clock = Stopwatch.StartNew();

        var e = Assert.Throws<ImageException>(() => Decode(bomb));

        Assert.Equal(message, e.Message);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - allocated, 0, 200_000);
        Assert.InRange(clock.ElapsedMilliseconds, 0, 1_000);
        Assert.InRange(Process.GetCurrentProcess().PeakWorkingSet64 - resident, 0, 500_000_000);   // other tests run beside this one
    }

    [Fact]
    public void An_avif_that_claims_more_than_libvips_can_hold_is_refused()
    {
        var avif = (byte[])All["AVIF"].Clone();
        BinaryPrimitives.WriteInt32BigEndian(avif.AsSpan(avif.AsSpan().IndexOf("ispe"u8) + 8), 0x0D00003D);

        Assert.Equal(
            "The AVIF is 218103869 x 37 pixels; no side may be longer than 65535. Cut or scale it down.",
            Assert.Throws<ImageException>(() => Decode(avif)).Message);
    }

    [Fact]
    public void Limits_can_be_set()
    {
        var file = All["PNG"];

        var pixels = Assert.Throws<ImageException>(() => Decode(file, new() { MaxPixels = Width * Height - 1 }));
        var bytes = Assert.Throws<ImageException>(() => Decode(file, new() { MaxBytes = file.Length - 1 }));
        Decode(file, new() { MaxPixels = Width * Height, MaxBytes = file.Length });

        Assert.Equal("The PNG is 61 x 37 pixels, more than the 2256 pixels that ImageLimits.MaxPixels allows. Scale it down, or raise the limit if the source is trusted.", pixels.Message);
        Assert.Equal($"The image is longer than the {file.Length - 1} bytes that ImageLimits.MaxBytes allows. Raise the limit if the source is trusted.", bytes.Message);
    }

    [Fact]
    public void A_hundred_decodes_hold_no_memory()
    {
        var file = Encode(Bytes(3, 1000, 1000), 3, ".jpg", width: 1000, height: 1000);
        for (int i = 0; i < 20; i++)
            Decode(file);
        long before = Settled();

        for (int i = 0; i < 100; i++)
            Decode(file);

        Assert.InRange(Settled() - before, long.MinValue, 100_000_000);   // kept images would be 300 MB, and their libvips buffers

        static long Settled()
        {
            GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
            return Process.GetCurrentProcess().WorkingSet64;
        }
    }

    [Fact]
    public void Fuzz_Only_an_image_exception_comes_out()
    {
        var limits = new ImageLimits { MaxPixels = 4_000_000 };

        var tried = Fuzz.Run<ImageException>([.. All.Values], file => Decode(file, limits));

        Assert.True(tried > 100, $"Only {tried} files were tried.");
    }

    /// <summary>A PNG that ends after its header.</summary>
    static byte[] PngHeader(int width, int height)
    {
        byte[] header = [.. "IHDR"u8, .. new byte[8], 8, 2, 0, 0, 0];
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(8), height);
        var checksum = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(checksum, Crc32(header));
        return [0x89, .. "PNG\r\n"u8, 0x1A, 0x0A, 0, 0, 0, 13, .. header, .. checksum, 0, 0, 0, 4, .. "IDAT"u8, 0, 0, 0, 0];
    }

    static uint Crc32(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320);
        }

        return ~crc;
    }

    static RgbImage Decode(byte[] file, ImageLimits? limits = null) =>
        ImageDecoder.Decode(file, null, limits ?? new(), TestContext.Current.CancellationToken);
}
