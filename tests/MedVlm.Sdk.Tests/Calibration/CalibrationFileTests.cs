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
        Assert.Equal((null, null), cache.ReadCalibration(Floats(weights), _ => true, Token));

        cache.WriteCalibration(Calibration(), Floats(weights), "model", 24, Token);

        Assert.Equal(Calibration().Content(), cache.ReadCalibration(Floats(weights), _ => true, Token).Calibration!.Content());
        Assert.Equal(Calibration().Content(), cache.ReadCalibration(Floats(copy), _ => true, Token).Calibration!.Content());
        Assert.Equal((null, null), cache.ReadCalibration(Floats(others), _ => true, Token));
        var adapted = Floats(weights).Select(weight => weight.Name == "w" ? weight with { Delta = new LoraDelta(others.Tensors["norm"], others.Tensors["norm"], 1) } : weight);
        Assert.Equal((null, null), cache.ReadCalibration([.. adapted], _ => true, Token));
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
            using var file = cache.Open("test", calibration?.ApplyTo(wanted) ?? wanted, "model", Token).File;
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
            var (calibration, fault) = cache.ReadCalibration(Floats(weights), _ => true, Token);

            // The number of images, or the model's name, may be what has changed.
            Assert.True(calibration is null ? fault is not null : calibration.Content() == Calibration().Content());
            Assert.Equal(calibration is not null, IsWhole(path));
        }, iter: 300, threads: 1);

        File.WriteAllBytes(path, whole[..^4]);
        Assert.Equal(
            $"The calibration in \"{path}\" is damaged, and the weights were quantised without it: calibrate again, or delete the file.",
            cache.ReadCalibration(Floats(weights), _ => true, Token).Fault);
    }

    static bool IsWhole(string path)
    {
        try
        {
            using var file = SafetensorsFile.Open(path);
            return CalibrationData.IsWhole(file);
        }
        catch (CheckpointException)
        {
            return false;
        }
    }

    [Fact]
    public void What_an_earlier_calibration_has_quantised_goes_with_it_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        var cache = Cache(folder);
        using var weights = Weights(folder, 1);
        using var others = Weights(folder, 2);
        var later = Calibration() with { MeanSquares = new Dictionary<string, float[]> { ["w"] = Ones(Inputs) } };
        string Quantise(SafetensorsFile of, CalibrationData? calibration)
        {
            WeightPart[] parts = [WeightPart.Int4, WeightPart.Int4Scale, WeightPart.Int4ZeroPoint];
            IReadOnlyList<QuantisedTensor> wanted =
            [
                .. parts.Select(part => new QuantisedTensor($"w/{part}", of.Tensors["w"], null, part, part.Shape(Outputs, Inputs)) { StoredName = "w" }),
            ];
            using var file = cache.Open("test", calibration?.ApplyTo(wanted) ?? wanted, "model", Token, calibration?.Content()).File;
            return file.Path;
        }

        var calibration = cache.WriteCalibration(Calibration(), Floats(weights), "model", 24, Token);
        var (plain, former, other) = (Quantise(weights, null), Quantise(weights, Calibration()), Quantise(others, later));

        // The same once more changes nothing.
        cache.WriteCalibration(Calibration(), Floats(weights), "model", 24, Token);
        Assert.True(File.Exists(former));

        using (SafetensorsFile.Open(former))
            cache.WriteCalibration(later, Floats(weights), "model", 24, Token);
        Assert.True(File.Exists(former), "It was in use.");
        Assert.True(File.Exists(other));

        cache.WriteCalibration(Calibration(), Floats(weights), "model", 24, Token);
        cache.WriteCalibration(later, Floats(weights), "model", 24, Token);
        Assert.False(File.Exists(former));
        Assert.All([calibration, plain], file => Assert.True(File.Exists(file)));
    }

    [Fact]
    public void A_name_that_was_changed_is_damage_too()
    {
        using var folder = new TemporaryFolder();
        var cache = Cache(folder);
        using var weights = Weights(folder, 1);
        var path = cache.WriteCalibration(Calibration(), Floats(weights), "model", 24, Token);
        var bytes = File.ReadAllBytes(path);
        int name = bytes.AsSpan().IndexOf("rows/0/norm"u8);

        foreach (var (place, other) in ((int, char)[])[(name + 5, '1'), (name + 10, 'n')])
        {
            var damaged = (byte[])bytes.Clone();
            damaged[place] = (byte)other;
            File.WriteAllBytes(path, damaged);

            Assert.Null(cache.ReadCalibration(Floats(weights), _ => true, Token).Calibration);
        }
    }

    [Fact]
    public void What_is_whole_by_itself_but_not_what_was_written_is_refused()
    {
        using var folder = new TemporaryFolder();
        var cache = Cache(folder);
        using var weights = Weights(folder, 1);
        var path = cache.WriteCalibration(Calibration(), Floats(weights), "model", 24, Token);
        using (var stream = File.Open(path, FileMode.Create))
            QuantisedFile.Write(
                stream, (Calibration() with { Folds = [] }).ToVectors(), new Dictionary<string, string> { [QuantisedCache.CalibrationContent] = Calibration().Content() }, Token);

        Assert.Contains("is damaged", cache.ReadCalibration(Floats(weights), _ => true, Token).Fault, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_that_cannot_be_read_leave_the_load_without_a_calibration()
    {
        using var folder = new TemporaryFolder();
        var cache = Cache(folder);
        using var weights = Weights(folder, 1);
        cache.WriteCalibration(Calibration(), Floats(weights), "model", 24, Token);
        File.Move(weights.ResolvedPath, weights.ResolvedPath + ".away");

        var (calibration, fault) = cache.ReadCalibration(Floats(weights), _ => true, Token);

        Assert.Null(calibration);
        Assert.StartsWith("The calibration could not be read, and the weights were quantised without it: ", fault, StringComparison.Ordinal);
    }

    [Fact]
    public void A_calibration_that_cannot_take_its_place_is_an_error()
    {
        using var folder = new TemporaryFolder();
        var cache = Cache(folder);
        using var weights = Weights(folder, 1);
        var path = cache.WriteCalibration(Calibration(), Floats(weights), "model", 24, Token);
        File.Delete(path);
        Directory.CreateDirectory(path);   // which no file replaces
        File.WriteAllText(Path.Combine(path, "kept"), "");

        Assert.True(Record.Exception(() => cache.WriteCalibration(Calibration(), Floats(weights), "model", 8, Token)) is IOException or UnauthorizedAccessException);
        Assert.Empty(Directory.GetFiles(folder.File("cache"), "*.tmp"));
    }

    [Theory]
    [InlineData("columns/1/w", 31), InlineData("rows/0/w", 32), InlineData("columns/1/unknown", 32), InlineData("columns/x/w", 32), InlineData("other/0/w", 32), InlineData("w", 32)]
    [InlineData("columns/-0/w", 32), InlineData("columns/00/w", 32), InlineData("columns/1/w", 32), InlineData("rows/1/norm", 32), InlineData("rows/00/norm", 32)]
    public void A_vector_that_fits_nothing_is_refused(string name, int length) => Assert.Null(Read(
        ("columns/0/w", Ones(Inputs)), ("rows/0/norm", Ones(Inputs)), (name, Ones(length))));

    [Fact]
    public void A_fold_is_read_whole_or_not_at_all()
    {
        Assert.Single(Read(("columns/3/w", Ones(Inputs)), ("rows/3/norm", Ones(Inputs)))!.Folds);
        Assert.Null(Read(("columns/3/w", Ones(Inputs))));
        Assert.Null(Read(("rows/3/norm", Ones(Inputs))));
        Assert.Null(Read(("columns/3/w", Ones(Inputs)), ("rows/4/norm", Ones(Inputs))));
    }

    [Theory]
    [InlineData("columns/0/w", 0f), InlineData("columns/0/w", float.NaN), InlineData("columns/0/w", -1f), InlineData("columns/0/w", 3f), InlineData("rows/0/norm", float.PositiveInfinity)]
    [InlineData("mean-squares/0/w", float.PositiveInfinity), InlineData("mean-squares/0/w", -1f)]
    public void A_factor_that_is_none_is_refused(string name, float value)
    {
        var vectors = new Dictionary<string, float[]> { ["columns/0/w"] = Ones(Inputs), ["rows/0/norm"] = Ones(Inputs), ["mean-squares/0/w"] = Ones(Inputs) };
        Assert.NotNull(Read([.. vectors.Select(vector => (vector.Key, vector.Value))]));

        vectors[name] = [.. Ones(Inputs - 1), value];

        Assert.Null(Read([.. vectors.Select(vector => (vector.Key, vector.Value))]));
    }

    static CalibrationData? Read(params (string Name, float[] Values)[] vectors)
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder, 1);
        using (var stream = File.Open(folder.File("c.safetensors"), FileMode.Create))
            QuantisedFile.Write(stream, vectors, new Dictionary<string, string>(), Token);
        using var file = SafetensorsFile.Open(folder.File("c.safetensors"));
        return CalibrationData.Read(file, weights.Tensors);
    }

    static float[] Ones(int length) => [.. Enumerable.Repeat(1f, length)];

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
