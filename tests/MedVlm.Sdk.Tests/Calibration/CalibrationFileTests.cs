using System.Runtime.InteropServices;
using CsCheck;
using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;
using MedVlm.Inference;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Calibration;

/// <summary>A calibration is a file of the cache: whole or not there, part of the name of what is quantised by it, and trusted only as far as it fits.</summary>
public sealed class CalibrationFileTests
{
    const int Outputs = 6, Inputs = 32;

    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void What_is_written_is_read_by_the_same_content_only()
    {
        using var folder = new TemporaryFolder();
        var cache = Cache(folder);
        using var weights = Weights(folder, 1);
        using var copy = Weights(folder, 1);
        using var others = Weights(folder, 2);
        Assert.Equal((null, null), cache.ReadCalibration(Floats(weights), Token));

        cache.WriteCalibration(Calibration(), Floats(weights), "model", 24, Token);

        Assert.Equal(Calibration().Content(), cache.ReadCalibration(Floats(weights), Token).Calibration!.Content());
        Assert.Equal(Calibration().Content(), cache.ReadCalibration(Floats(copy), Token).Calibration!.Content());
        Assert.Equal((null, null), cache.ReadCalibration(Floats(others), Token));
        var adapted = Floats(weights).Select(weight => weight.Name == "w" ? weight with { Delta = new LoraDelta(others.Tensors["norm"], others.Tensors["norm"], 1) } : weight);
        Assert.Equal((null, null), cache.ReadCalibration([.. adapted], Token));
    }

    [Fact]
    public void Quantised_weights_have_another_name_for_what_bears_on_them_and_the_same_for_what_does_not()
    {
        using var folder = new TemporaryFolder();
        var cache = Cache(folder);
        using var weights = Weights(folder, 1);
        string Name(CalibrationData? calibration, params WeightPart[] parts)
        {
            IReadOnlyList<QuantisedTensor> wanted =
            [
                .. parts.Select(part => new QuantisedTensor($"w/{part}", weights.Tensors["w"], null, part, part.Shape(Outputs, Inputs))),
                new QuantisedTensor("norm", weights.Tensors["norm"], null, WeightPart.Float32, [Inputs]),
            ];
            using var file = cache.Open("test", calibration?.ApplyTo(wanted) ?? wanted, "model", Token);
            return file.FileName;
        }

        WeightPart[] int8 = [WeightPart.Int8, WeightPart.Int8Scale], int4 = [WeightPart.Int4, WeightPart.Int4Scale, WeightPart.Int4ZeroPoint];
        var empty = new CalibrationData([], new Dictionary<string, float[]>());
        Assert.Equal(Name(null, int8), Name(empty, int8));
        Assert.NotEqual(Name(null, int8), Name(Calibration(), int8));
        Assert.Equal(Name(null, int8), Name(Calibration() with { Folds = [] }, int8));      // mean squares are INT4's
        Assert.NotEqual(Name(null, int4), Name(Calibration(), int4));
        Assert.Equal(Name(null, int4), Name(Calibration() with { MeanSquares = empty.MeanSquares }, int4));      // factors are not
    }

    [Fact]
    public void Factors_and_mean_squares_are_in_the_quantised_weights()
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder, 1);
        float[] w = Values(weights, "w"), norm = Values(weights, "norm");
        var made = new Dictionary<string, byte[]>();
        Quantiser.Make(
            Calibration().ApplyTo(
            [
                new QuantisedTensor("w", weights.Tensors["w"], null, WeightPart.Float32, [Outputs, Inputs]), new QuantisedTensor("norm", weights.Tensors["norm"], null, WeightPart.Float32, [Inputs]),
            ]), (tensor, bytes) => made.Add(tensor.Name, Bytes(bytes)), Token);

        Assert.Equal(w.Select((value, i) => i % Inputs == 3 ? 4 * value : value), MemoryMarshal.Cast<byte, float>(made["w"]).ToArray());
        Assert.Equal(norm.Select((value, i) => i == 3 ? value / 4 : value), MemoryMarshal.Cast<byte, float>(made["norm"]).ToArray());
    }

    [Fact]
    public void A_full_disk_leaves_the_calibration_that_was_there()
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder, 1);
        var path = Cache(folder).WriteCalibration(Calibration(), Floats(weights), "model", 24, Token);
        var before = File.ReadAllBytes(path);
        var full = new QuantisedCache(folder.File("cache")) { CreateFile = _ => throw new IOException("No space left on device") };

        Assert.Throws<IOException>(() => full.WriteCalibration(Calibration() with { Folds = [] }, Floats(weights), "model", 8, Token));

        Assert.Equal(before, File.ReadAllBytes(path));
        Assert.Empty(Directory.GetFiles(folder.File("cache"), "*.tmp"));
    }

    [Fact]
    public void A_damaged_file_is_told_and_not_used()
    {
        using var folder = new TemporaryFolder();
        var cache = Cache(folder);
        using var weights = Weights(folder, 1);
        var path = cache.WriteCalibration(Calibration(), Floats(weights), "model", 24, Token);
        var whole = File.ReadAllBytes(path);
        int change = 0;

        Gen.Select(Gen.Int[0, whole.Length - 1], Gen.Byte[1, 255]).Sample((place, flip) =>
        {
            var damaged = (byte[])whole.Clone();
            damaged[place] ^= flip;
            File.WriteAllBytes(path, damaged);
            File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch.AddDays(++change));
            var (calibration, fault) = cache.ReadCalibration(Floats(weights), Token);

            // The number of images, or the model's name, may be what has changed.
            Assert.True(calibration is null ? fault is not null : calibration.Content() == Calibration().Content());
        }, iter: 300, threads: 1);

        File.WriteAllBytes(path, whole[..^4]);
        Assert.Equal(
            $"The calibration in \"{path}\" is damaged, and the weights were quantised without it: calibrate again, or delete the file.",
            cache.ReadCalibration(Floats(weights), Token).Fault);
    }

    [Theory]
    [InlineData("columns/0/w", 31), InlineData("rows/0/w", 32), InlineData("columns/0/unknown", 32), InlineData("columns/x/w", 32), InlineData("other/0/w", 32), InlineData("w", 32)]
    public void A_vector_that_fits_nothing_is_refused(string name, int length)
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder, 1);
        using var file = SafetensorsFile.Open(folder.Write("c.safetensors", SafetensorsBytes.OneTensor(
            name, "F32", [length], MemoryMarshal.AsBytes<float>([.. Enumerable.Repeat(1f, length)]).ToArray())));

        Assert.Null(CalibrationData.Read(file, weights.Tensors));
    }

    [Theory]
    [InlineData("columns/0/w", 0f), InlineData("columns/0/w", float.NaN), InlineData("columns/0/w", -1f), InlineData("mean-squares/0/w", float.PositiveInfinity)]
    public void A_factor_that_is_none_is_refused(string name, float value)
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder, 1);
        using var file = SafetensorsFile.Open(folder.Write("c.safetensors", SafetensorsBytes.OneTensor(
            name, "F32", [Inputs], MemoryMarshal.AsBytes<float>([.. Enumerable.Repeat(value, Inputs)]).ToArray())));

        Assert.Null(CalibrationData.Read(file, weights.Tensors));
    }

    /// <summary>Channel 3 is divided by 4 in the norm, and multiplied by it in the weight; and each input counts by its number.</summary>
    static CalibrationData Calibration()
    {
        float[] factors = [.. Enumerable.Range(0, Inputs).Select(channel => channel == 3 ? 4f : 1)];
        return new CalibrationData(
            [new Fold(new Dictionary<string, float[]> { ["w"] = factors }, new Dictionary<string, float[]> { ["norm"] = factors })],
            new Dictionary<string, float[]> { ["w"] = [.. Enumerable.Range(1, Inputs).Select(channel => (float)channel)] });
    }

    static QuantisedCache Cache(TemporaryFolder folder) => new(folder.File("cache"));

    static IReadOnlyList<QuantisedTensor> Floats(SafetensorsFile weights) => QuantisedWeights.InFloat(weights.Tensors, new Dictionary<string, LoraDelta>());

    static float[] Values(SafetensorsFile file, string tensor)
    {
        var values = new float[file.Tensors[tensor].Elements];
        Widen.ToFloat32(file.Tensors[tensor], values);
        return values;
    }

    static unsafe byte[] Bytes(NativeBuffer buffer)
    {
        using (buffer)
            return new ReadOnlySpan<byte>(buffer.Data, (int)buffer.Length).ToArray();
    }

    static SafetensorsFile Weights(TemporaryFolder folder, int seed)
    {
        var random = new Random(seed);
        int w = 4 * Outputs * Inputs, norm = w + 4 * Inputs;
        return SafetensorsFile.Open(folder.Write($"{Guid.NewGuid():N}.safetensors", SafetensorsBytes.Of(
            $$$"""{"w":{"dtype":"F32","shape":[{{{Outputs}}},{{{Inputs}}}],"data_offsets":[0,{{{w}}}]},"norm":{"dtype":"F32","shape":[{{{Inputs}}}],"data_offsets":[{{{w}}},{{{norm}}}]}}""",
            [.. Enumerable.Range(0, norm / 4).SelectMany(_ => BitConverter.GetBytes(random.NextSingle() - 0.5f))])));
    }
}
