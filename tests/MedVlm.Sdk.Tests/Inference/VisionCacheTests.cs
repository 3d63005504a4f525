using CsCheck;
using MedVlm.Imaging;
using MedVlm.Inference;

namespace MedVlm.Tests.Inference;

/// <summary>Features of images seen lately: never another image's, never more than there is room for.</summary>
public sealed class VisionCacheTests
{
    const int Kilobyte = 256;

    [Fact]
    public void The_least_recently_used_goes_first()
    {
        var cache = new VisionCache(3 * Kilobyte * sizeof(float));
        foreach (var name in (string[])["a", "b", "c"])
            cache.Add(Key(name), Features(Kilobyte));
        Assert.True(cache.TryGet(Key("a"), out _));

        cache.Add(Key("d"), Features(Kilobyte));

        Assert.Equal([true, false, true, true], new[] { "a", "b", "c", "d" }.Select(name => cache.Contains(Key(name))));
    }

    [Fact]
    public void What_is_larger_than_the_whole_cache_is_not_kept()
    {
        var cache = new VisionCache(Kilobyte * sizeof(float));
        cache.Add(Key("a"), Features(Kilobyte));

        cache.Add(Key("b"), Features(Kilobyte + 1));

        Assert.True(cache.Contains(Key("a")));
        Assert.False(cache.Contains(Key("b")));
    }

    [Fact]
    public void Keys_and_values_of_cross_attention_count()
    {
        var cache = new VisionCache(1 << 20);

        cache.Add(Key("a"), new VisionFeatures(new float[10], [new byte[20], new byte[20]], [new byte[20], new byte[20]]));

        Assert.Equal(10 * sizeof(float) + 80, cache.Bytes);
    }

    [Fact]
    public void Whatever_comes_it_holds_what_it_counts_and_no_more_than_it_may() =>
        Gen.Select(Gen.Int[0, 20], Gen.Int[1, 40]).Array[1, 60].Sample(steps =>
        {
            const int Capacity = 100;
            var cache = new VisionCache(Capacity * sizeof(float));
            var sizes = new Dictionary<int, int>();
            foreach (var (image, size) in steps)
            {
                if (cache.TryGet(Key($"{image}"), out var features))
                    Assert.Equal(sizes[image], features.Features.Length);
                else
                {
                    sizes[image] = size;
                    cache.Add(Key($"{image}"), Features(size));
                }
                Assert.Equal(Enumerable.Range(0, 21).Where(i => cache.Contains(Key($"{i}"))).Sum(i => sizes[i]) * sizeof(float), cache.Bytes);
                Assert.InRange(cache.Bytes, 0, Capacity * sizeof(float));
            }
            Assert.Equal(steps.Length, cache.Hits + cache.Misses);
        });

    [Fact]
    public void An_image_is_known_by_its_pixels_its_size_and_the_detail()
    {
        var detail = new ImageDetail();
        byte[] pixels = [.. Enumerable.Range(0, 24).Select(i => (byte)i)];
        var image = new RgbImage(4, 2, pixels);
        var key = ImageKey.Of([image], detail);

        Assert.Equal(key, ImageKey.Of([new RgbImage(4, 2, [.. pixels])], detail with { }));

        ImageKey[] others =
        [
            ImageKey.Of([new RgbImage(2, 4, pixels)], detail),
            ImageKey.Of([new RgbImage(4, 2, [.. pixels[..^1], 99])], detail),
            ImageKey.Of([image, image], detail),
            .. new ImageDetail[]
            {
                new() { LongestEdge = 512 }, new() { SplitIntoTiles = false }, new() { SplitIntoTiles = true }, new() { MinPixels = 1000 },
                new() { MaxPixels = 1000 }, new() { MaxCrops = 4 },
            }.Select(other => ImageKey.Of([image], other)),
        ];
        Assert.DoesNotContain(key, others);
        Assert.Equal(others.Length, others.Distinct().Count());
    }

    static ImageKey Key(string name) => new(name);

    static VisionFeatures Features(int values) => new(new float[values], [], []);
}
