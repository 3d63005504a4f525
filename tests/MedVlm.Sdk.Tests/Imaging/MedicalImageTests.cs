using MedVlm.Tests.Checkpoints;
using static MedVlm.Tests.Imaging.SampleImages;

namespace MedVlm.Tests.Imaging;

public sealed class MedicalImageTests : IDisposable
{
    readonly string _folder = Directory.CreateTempSubdirectory("medvlm Rö 胸部 ").FullName;

    static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task File_bytes_and_stream_give_the_same_pixels()
    {
        var path = Path.Combine(_folder, "Rö 胸部.png");
        await File.WriteAllBytesAsync(path, All["PNG"], Cancellation);
        await using var stream = new FileStream(path, FileMode.Open);
        var expected = Bytes(4).Where((_, i) => i % 4 != 3).ToArray();

        var images = new[]
        {
            MedicalImage.FromFile(path),
            MedicalImage.FromBytes(All["PNG"]),
            MedicalImage.FromBytes(((byte[])[1, 2, .. All["PNG"], 3]).AsMemory(2)),
            await MedicalImage.FromStreamAsync(stream, cancellationToken: Cancellation),
            await MedicalImage.FromStreamAsync(new OneByteAtATime(All["PNG"]), cancellationToken: Cancellation),
        };

        foreach (var image in images)
            for (int again = 0; again < 2; again++)
                Assert.Equal(expected, (await image.DecodeAsync(new(), Cancellation)).Pixels);
        Assert.True(stream.CanRead, "the stream stays the caller's");
    }

    [Fact]
    public async Task A_file_is_read_when_it_is_captioned_and_not_before()
    {
        var path = Path.Combine(_folder, "later.png");
        var image = MedicalImage.FromFile(path);

        var e = await Assert.ThrowsAsync<ImageException>(async () => await image.DecodeAsync(new(), Cancellation));
        Assert.Equal("The image file does not exist. Check the path, and that the folder is mounted.", e.Message);
        Assert.IsType<FileNotFoundException>(e.InnerException);

        await File.WriteAllBytesAsync(path, All["PNG"], Cancellation);
        Assert.Equal(Width, (await image.DecodeAsync(new(), Cancellation)).Width);
        File.Delete(path);   // nothing holds it
    }

    [Fact]
    public async Task A_named_pipe_is_an_empty_file_and_nobody_waits_for_it()
    {
        using var folder = new TemporaryFolder();
        var pipe = folder.MakePipe("x.png");
        File.CreateSymbolicLink(folder.File("link.png"), "x.png");
        File.CreateSymbolicLink(folder.File("good.png"), "real.png");
        folder.Write("real.png", All["PNG"]);
        var empty = await ErrorAsync(folder.Write("empty.png", []));

        Assert.Equal(empty, await ErrorAsync(pipe));
        Assert.Equal(empty, await ErrorAsync(folder.File("link.png")));
        Assert.Equal(Width, (await MedicalImage.FromFile(folder.File("good.png")).DecodeAsync(new(), Cancellation)).Width);

        // On a thread of its own, for opening a pipe blocks.
        static async Task<string> ErrorAsync(string path) => (await Assert.ThrowsAsync<ImageException>(
            () => Task.Run(async () => await MedicalImage.FromFile(path).DecodeAsync(new(), Cancellation)).WaitAsync(TimeSpan.FromSeconds(20), Cancellation))).Message;
    }

    [Fact]
    public async Task A_folder_in_place_of_a_file_is_refused()
    {
        var e = await Assert.ThrowsAsync<ImageException>(async () => await MedicalImage.FromFile(_folder).DecodeAsync(new(), Cancellation));

        Assert.Equal("The image file cannot be opened. Check that it is a file, that this process may read it, and that no other program holds it.", e.Message);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_stream_is_read_no_further_than_the_limit(bool seekable)
    {
        var endless = new Zeros(seekable);

        var e = await Assert.ThrowsAsync<ImageException>(
            async () => await MedicalImage.FromStreamAsync(endless, limits: new() { MaxBytes = 100_000 }, cancellationToken: Cancellation));

        Assert.Equal("The image is longer than the 100000 bytes that ImageLimits.MaxBytes allows. Raise the limit if the source is trusted.", e.Message);
        Assert.InRange(endless.Given, 0, 100_001);
    }

    [Fact]
    public async Task A_stream_that_fails_is_an_image_error()
    {
        var e = await Assert.ThrowsAsync<ImageException>(
            async () => await MedicalImage.FromStreamAsync(new Broken(), cancellationToken: Cancellation));

        Assert.Equal("Reading the image failed before its end. Check the disk or the connection that it comes from.", e.Message);
    }

    [Fact]
    public async Task Cancelling_stops_the_decoding() =>
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            async () => await MedicalImage.FromBytes(All["PNG"]).DecodeAsync(new(), new CancellationToken(canceled: true)));

    [Theory]
    [InlineData(PixelFormat.Gray8, new byte[] { 7, 9 }, new byte[] { 7, 7, 7, 9, 9, 9 })]
    [InlineData(PixelFormat.Gray16, new byte[] { 0xFF, 7, 0, 9 }, new byte[] { 7, 7, 7, 9, 9, 9 })]
    [InlineData(PixelFormat.Rgb24, new byte[] { 1, 2, 3, 4, 5, 6 }, new byte[] { 1, 2, 3, 4, 5, 6 })]
    [InlineData(PixelFormat.Bgr24, new byte[] { 1, 2, 3, 4, 5, 6 }, new byte[] { 3, 2, 1, 6, 5, 4 })]
    [InlineData(PixelFormat.Rgba32, new byte[] { 1, 2, 3, 0, 4, 5, 6, 99 }, new byte[] { 1, 2, 3, 4, 5, 6 })]
    [InlineData(PixelFormat.Bgra32, new byte[] { 1, 2, 3, 0, 4, 5, 6, 99 }, new byte[] { 3, 2, 1, 6, 5, 4 })]
    public async Task Raw_pixels_of_every_format_become_rgb(PixelFormat format, byte[] pixels, byte[] expected) =>
        Assert.Equal(expected, (await MedicalImage.FromPixels(pixels, 2, 1, format).DecodeAsync(new(), Cancellation)).Pixels);

    [Fact]
    public async Task Raw_sixteen_bit_pixels_take_a_window()
    {
        byte[] pixels = [0xE8, 0x03, 0xDC, 0x05, 0xD0, 0x07];   // 1000, 1500, 2000

        var image = await MedicalImage.FromPixels(pixels, 3, 1, PixelFormat.Gray16, new GrayWindow(1000, 2000)).DecodeAsync(new(), Cancellation);

        Assert.Equal([0, 0, 0, 128, 128, 128, 255, 255, 255], image.Pixels);
    }

    [Fact]
    public async Task Raw_pixels_obey_the_limits()
    {
        var image = MedicalImage.FromPixels(new byte[6], 2, 3, PixelFormat.Gray8);

        var e = await Assert.ThrowsAsync<ImageException>(async () => await image.DecodeAsync(new() { MaxPixels = 5 }, Cancellation));

        Assert.Equal("The image is 2 x 3 pixels, more than the 5 pixels that ImageLimits.MaxPixels allows. Scale it down, or raise the limit if the source is trusted.", e.Message);
    }

    [Fact]
    public void Raw_pixels_that_do_not_fit_their_size_are_refused()
    {
        var e = Assert.Throws<ArgumentException>(() => MedicalImage.FromPixels(new byte[5], 2, 1, PixelFormat.Rgb24));
        Assert.StartsWith("2 x 1 pixels of Rgb24 are 6 bytes without padding between rows, but 5 were given.", e.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => MedicalImage.FromPixels(new byte[5], int.MaxValue, int.MaxValue, PixelFormat.Rgba32));
        Assert.Throws<ArgumentOutOfRangeException>(() => MedicalImage.FromPixels(new byte[5], 0, 1, PixelFormat.Rgb24));
        Assert.Throws<ArgumentOutOfRangeException>(() => MedicalImage.FromPixels(new byte[5], 5, 1, (PixelFormat)77));
        Assert.Throws<ArgumentException>(() => MedicalImage.FromPixels(new byte[6], 2, 1, PixelFormat.Rgb24, new GrayWindow(0, 1)));
    }

    [Fact]
    public async Task Many_threads_decode_one_image_at_once()
    {
        var image = MedicalImage.FromBytes(All["JPEG"]);
        var expected = (await image.DecodeAsync(new(), Cancellation)).Pixels;

        await Parallel.ForAsync(0, 200, Cancellation, async (_, token) =>
            Assert.Equal(expected, (await image.DecodeAsync(new(), token)).Pixels));
    }

    sealed class OneByteAtATime(byte[] bytes) : MemoryStream(bytes)
    {
        public override bool CanSeek => false;

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            base.ReadAsync(buffer[..Math.Min(1, buffer.Length)], cancellationToken);
    }

    sealed class Zeros(bool seekable) : MemoryStream
    {
        public int Given { get; private set; }

        public override bool CanSeek => seekable;

        public override long Length => 1L << 40;

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Given += buffer.Length;
            return new(buffer.Length);
        }
    }

    sealed class Broken : MemoryStream
    {
        public override bool CanSeek => false;

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            throw new IOException("The network is gone.");
    }
}
