using System.Security.Cryptography;
using System.Text.Json;
using MedVlm.Imaging;

namespace MedVlm.Tests.Imaging;

/// <summary>Resizing gives Pillow's pixels, every one of them: goldens/components/resize.</summary>
[Trait("Category", "Golden")]
public sealed class ResizeGoldenTests
{
    static readonly string Folder = Path.Combine(TestFolders.Goldens, "components", "resize");
    static readonly JsonElement Cases = ReadCases();
    static readonly Lazy<GoldenTensors> Tensors = new(() => GoldenTensors.Load(Path.Combine(Folder, "resize.safetensors")));

    public static TheoryData<string> Small => [.. Names("small")];

    public static TheoryData<string> Big => [.. Names("big")];

    public static TheoryData<string> Coefficients => [.. Rows("coefficients").Select(CoefficientsName)];

    [Theory(SkipTestWithoutData = true), MemberData(nameof(Coefficients))]
    public void Weights_are_Pillows(string name)
    {
        var row = Rows("coefficients").Single(r => CoefficientsName(r) == name);
        var weights = new AxisWeights(Number(row, "n_in"), Number(row, "n_out"), Filter(row.GetProperty("filter").GetString()!));

        int output = 0;
        foreach (var expected in row.GetProperty("first_24").EnumerateArray())
        {
            Assert.Equal(Number(expected, "start"), weights.First(output));
            Assert.Equal(expected.GetProperty("weights").EnumerateArray().Select(w => w.GetInt32()), weights.Weights(output).ToArray());
            output++;
        }
    }

    [Theory(SkipTestWithoutData = true), MemberData(nameof(Small))]
    public void Small_images_are_resized_as_Pillow_does(string name)
    {
        var row = Rows("small").Single(r => r.GetProperty("name").GetString() == name);
        var input = Tensors.Value[$"{name}.in"].Bytes;

        foreach (var filter in row.GetProperty("filters").EnumerateArray().Select(f => f.GetString()!))
        {
            var expected = Tensors.Value[$"{name}.{filter}"].Bytes;
            Assert.Equal(expected, Resize(row, input, filter, PassOrder.VerticalFirst));

            var expected12 = Tensors.Value.Find($"{name}.{filter}.pillow12")?.Bytes ?? expected;
            Assert.Equal(expected12, Resize(row, input, filter, PassOrder.VerticalFirstPillow12));
        }
    }

    [Theory(SkipTestWithoutData = true), MemberData(nameof(Big))]
    public void Big_images_are_resized_as_Pillow_does(string name)
    {
        var row = Rows("big").Single(r => r.GetProperty("name").GetString() == name);
        var input = Pattern(row);
        Assert.Equal(row.GetProperty("in_sha256").GetString(), Sha256(input));

        foreach (var output in row.GetProperty("out").EnumerateObject())
        {
            var resized = Resize(row, input, output.Name, PassOrder.VerticalFirst);
            int middle = Number(row, "out_h") / 2 * Number(row, "out_w") * Number(row, "channels");
            var pixels = output.Value.GetProperty("row_middle_first_16_pixels").EnumerateArray().Select(p => p.GetByte()).ToArray();
            Assert.Equal(pixels, resized[middle..(middle + pixels.Length)]);   // where they differ, this says how
            Assert.Equal(output.Value.GetProperty("sha256").GetString(), Sha256(resized));
            Assert.Equal(output.Value.GetProperty("sha256_pillow12").GetString(),
                Sha256(Resize(row, input, output.Name, PassOrder.VerticalFirstPillow12)));
        }
    }

    static byte[] Resize(JsonElement row, byte[] input, string filter, Func<int, int, int, int, bool> order)
    {
        var (w, h, newW, newH, c) = (Number(row, "in_w"), Number(row, "in_h"), Number(row, "out_w"), Number(row, "out_h"), Number(row, "channels"));
        var output = new byte[newW * newH * c];
        Resampler.Resize(input, w, h, c, output, newW, newH, Filter(filter), order(w, h, newW, newH));
        return output;
    }

    /// <summary>The computed pictures of notes.md.</summary>
    static byte[] Pattern(JsonElement row)
    {
        var (w, h, c, seed) = (Number(row, "in_w"), Number(row, "in_h"), Number(row, "channels"), Number(row, "seed"));
        var pattern = row.GetProperty("pattern").GetString();
        var pixels = new byte[w * h * c];
        for (int i = 0; i < pixels.Length; i++)
        {
            int channel = i % c, x = i / c % w, y = i / c / w;
            pixels[i] = pattern switch
            {
                "noise" => (byte)SplitMix64((ulong)seed + (ulong)i * 0x9E3779B97F4A7C15),
                "smooth" => (byte)(7 * x + 13 * y + 50 * channel + ((x * y) >> 3) + seed),
                "edges" => (byte)(((x / 3 + y / 5 + channel + seed) & 1) * 255),
                _ => throw new NotSupportedException($"Pattern {pattern} is not in notes.md."),
            };
        }

        return pixels;
    }

    static ulong SplitMix64(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    static JsonElement ReadCases()
    {
        var path = Path.Combine(Folder, "cases.json");
        return File.Exists(path) ? JsonDocument.Parse(File.ReadAllBytes(path)).RootElement : JsonDocument.Parse("{}").RootElement;
    }

    static IEnumerable<JsonElement> Rows(string list) => Cases.TryGetProperty(list, out var rows) ? rows.EnumerateArray() : [];

    static IEnumerable<string> Names(string list) => Rows(list).Select(r => r.GetProperty("name").GetString()!);

    static string CoefficientsName(JsonElement row) => $"{row.GetProperty("filter").GetString()} {Number(row, "n_in")} to {Number(row, "n_out")}";

    static int Number(JsonElement row, string key) => row.GetProperty(key).GetInt32();

    static Resample Filter(string name) => Enum.Parse<Resample>(name, ignoreCase: true);

    static string Sha256(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
