using CsCheck;
using MedVlm.Imaging;
using MedVlm.Models;

namespace MedVlm.Tests.Models;

/// <summary>Memory of pixels that wait: nobody sees another's, and it stays within its bound.</summary>
public sealed class PixelPoolTests
{
    [Fact]
    public void Pixels_are_their_owners_until_they_are_given_back_and_what_is_kept_has_a_bound() =>
        Gen.Select(Gen.Int[0, 4000], Gen.Select(Gen.Int[0, 9], Gen.Int[1, 1000]).Array[1, 200]).Sample((mostKept, steps) =>
        {
            var (pool, owned) = (new PixelPool { MostKept = mostKept }, new List<(PixelBuffer Buffer, byte Mark)>());
            foreach (var (i, (which, bytes)) in steps.Index())
                if (which < owned.Count)
                {
                    var (buffer, mark) = owned[which];
                    Assert.Equal(-1, buffer.Pixels.IndexOfAnyExcept(mark));
                    owned.RemoveAt(which);
                    buffer.Dispose();
                    buffer.Dispose();   // gives nothing back twice
                    Assert.Throws<ObjectDisposedException>(() => buffer.Pixels.Length);
                }
                else
                {
                    var buffer = pool.Rent(bytes);
                    Assert.Equal(bytes, buffer.Pixels.Length);
                    buffer.Pixels.Fill((byte)i);
                    owned.Add((buffer, (byte)i));
                }

            Assert.All(owned, one => Assert.Equal(-1, one.Buffer.Pixels.IndexOfAnyExcept(one.Mark)));
            Assert.InRange(pool.Used, owned.Sum(one => one.Buffer.Length), 2 * owned.Sum(one => one.Buffer.Length));
            Assert.True(pool.Kept == 0 || pool.Kept + pool.Used <= mostKept);
            owned.ForEach(one => one.Buffer.Dispose());
            pool.MostKept = 0;
            Assert.Equal((0, 0), (pool.Used, pool.Kept));
        });

    [Fact]
    public void Memory_is_used_again()
    {
        var pool = new PixelPool { MostKept = 1000 };
        for (int i = 0; i < 100; i++)
            pool.Rent(300 + i).Dispose();

        Assert.InRange(pool.Kept, 300, 1000);
        Assert.Equal(0, pool.Used);
    }

    [Fact]
    public void Pixels_that_are_forgotten_do_not_come_back()
    {
        var pool = new PixelPool { MostKept = 1 << 20 };
        Forget(pool);
        for (int i = 0; i < 20 && pool.Used > 0; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.Equal((0, 0), (pool.Used, pool.Kept));
        using var next = pool.Rent(1000);
        next.Pixels.Fill(1);

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        static void Forget(PixelPool pool)
        {
            for (int i = 0; i < 10; i++)
                pool.Rent(1000).Pixels.Clear();
        }
    }

    [Theory, InlineData(8, 8), InlineData(20, 8), InlineData(8, 20), InlineData(16, 12)]
    public void An_image_in_the_pool_is_resized_and_cut_as_any_other(int width, int height)
    {
        var (pool, pixels) = (new PixelPool(), new byte[16 * 12 * 3]);
        new Random(1).NextBytes(pixels);
        var image = new RgbImage(16, 12, pixels);
        var square = new byte[5 * 5 * 3];

        using (var first = new PooledImage(pool, image).Resize(width, height, Resample.Lanczos))
        using (var second = first.Resize(width, height, Resample.Lanczos))
            second.CopySquare(2, 1, 5, square);

        Assert.Equal(image.Resize(width, height, Resample.Lanczos).Crop(2, 1, 5, 5).Pixels, square);
        Assert.Equal(0, pool.Used);
    }

    [Fact]
    public void Values_are_made_alike_alone_together_and_in_a_run()
    {
        var pool = new PixelPool();
        HostTensor[] tensors = [.. Enumerable.Range(0, 3).Select(seed =>
        {
            var pixels = pool.Rent(12);
            new Random(seed).NextBytes(pixels.Pixels);
            return new HostTensor([1, 3, 2, 2], values => PixelValues.ChannelsFirst(pixels.Pixels, 1, 1 / 255.0, [0, 0, 0], [1, 1, 1], values), pixels);
        })];
        float[] expected = [.. tensors.SelectMany(tensor => (float[])tensor.Data)];

        var joined = HostTensor.Stack(tensors);
        using var made = joined.TryMake()!;

        Assert.Equal([3, 3, 2, 2], joined.Shape);
        Assert.Equal(expected, (float[])joined.Data);
        Assert.Equal(expected, Values(made));
        Assert.Equal((12, 0), (tensors[0].WaitingBytes, joined.WaitingBytes));
        foreach (var tensor in tensors)
            tensor.Dispose();
        Assert.Equal(0, pool.Used);

        static unsafe float[] Values(MedVlm.Checkpoints.NativeBuffer buffer) => new ReadOnlySpan<float>(buffer.Data, (int)buffer.Length / sizeof(float)).ToArray();
    }
}
