using CsCheck;
using MedVlm.Imaging;
using MedVlm.Inference;

namespace MedVlm.Tests.Inference;

/// <summary>Features of images seen lately: never another image's, never more than there is room for.</summary>
public sealed class VisionCacheTests
{
    const int Kilobyte = 256;

    readonly FeatureMemory _memory = new();

    [Fact]
    public void The_least_recently_used_goes_first()
    {
        var cache = new VisionCache(3 * Kilobyte * sizeof(float));
        foreach (var name in (string[])["a", "b", "c"])
            Add(cache, name, Kilobyte);
        Assert.True(cache.TryGet(Key("a"), out var a));
        a.Dispose();

        Add(cache, "d", Kilobyte);

        Assert.Equal([true, false, true, true], new[] { "a", "b", "c", "d" }.Select(name => cache.Contains(Key(name))));
    }

    [Fact]
    public void What_is_larger_than_the_whole_cache_is_not_kept()
    {
        var cache = new VisionCache(Kilobyte * sizeof(float));
        Add(cache, "a", Kilobyte);

        Add(cache, "b", Kilobyte + 1);

        Assert.True(cache.Contains(Key("a")));
        Assert.False(cache.Contains(Key("b")));
    }

    [Fact]
    public void Keys_and_values_of_cross_attention_count()
    {
        var cache = new VisionCache(1 << 20);

        Add(cache, "a", 10, crossBytes: 80);

        Assert.Equal(10 * sizeof(float) + 80, cache.Bytes);
    }

    [Fact]
    public void What_has_gone_is_freed_when_those_who_had_it_let_go()
    {
        var cache = new VisionCache(Kilobyte * sizeof(float));
        Add(cache, "a", Kilobyte);
        Assert.True(cache.TryGet(Key("a"), out var a));

        Add(cache, "b", Kilobyte);
        Assert.False(cache.Contains(Key("a")));
        Assert.Equal(2 * Kilobyte * sizeof(float), _memory.Used);
        Assert.All(a.Values.ToArray(), value => Assert.Equal(Kilobyte, value));

        a.Dispose();
        Assert.Equal(cache.Bytes, _memory.Used);
        cache.Clear();
        Assert.Equal((0, 0), (cache.Bytes, _memory.Used));
    }

    [Fact]
    public void Whatever_comes_it_holds_what_it_counts_and_no_more_than_it_may() =>
        Gen.Select(Gen.Int[0, 20], Gen.Int[1, 40]).Array[1, 60].Sample(steps =>
        {
            const int Capacity = 100;
            var (cache, memory) = (new VisionCache(Capacity * sizeof(float)), new FeatureMemory());
            var sizes = new Dictionary<int, int>();
            foreach (var (image, size) in steps)
            {
                if (cache.TryGet(Key($"{image}"), out var features))
                {
                    Assert.Equal(sizes[image], features.Values.Length);
                    features.Dispose();
                }
                else
                {
                    sizes[image] = size;
                    Add(cache, $"{image}", size, memory: memory);
                }
                Assert.Equal(cache.Bytes, memory.Used);
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

    /// <summary>Adds features that are all their own number, and lets go of them.</summary>
    void Add(VisionCache cache, string name, int values, long crossBytes = 0, FeatureMemory? memory = null)
    {
        using var features = new VisionFeatures(memory ?? _memory, values, crossBytes);
        features.Values.Fill(values);
        cache.Add(Key(name), features);
    }
}
