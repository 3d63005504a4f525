using System.Diagnostics;
using System.Globalization;
using System.Text;
using MedVlm.Checkpoints;

namespace MedVlm.Tests.Checkpoints;

/// <summary>Damaged files of every kind end in a CheckpointException or are read within their bounds; nothing else happens.</summary>
/// <remarks>The seed is fixed. MEDVLM_FUZZ_SECONDS makes each kind run that long.</remarks>
public sealed unsafe class CheckpointFuzzTests
{
    static readonly TimeSpan Time = TimeSpan.FromSeconds(
        double.TryParse(Environment.GetEnvironmentVariable("MEDVLM_FUZZ_SECONDS"), CultureInfo.InvariantCulture, out var seconds) ? seconds : 1);

    /// <summary>Pieces that damage JSON in ways that single bytes rarely do.</summary>
    static readonly byte[][] Pieces =
    [
        .. new[]
        {
            "18446744073709551615", "18446744073709551616", "9223372036854775807", "-1", "1e3", "0.0", "4294967296", "null", "true", "{}", "[]",
            "[0,0]", "\"\"", "\"a\":", "\\ud800", "\\u0000", "../", "./", "/etc/passwd", "\"__metadata__\":{},", "\"F4\"", "\"F64\"", ",", "}",
            "{\"a\":", "\"weight_map\":", "\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},", "\uFEFF", " ",
        }.Select(Encoding.UTF8.GetBytes),
        [0xFF, 0xFE], [0xC0, 0xAF], [0x00],
    ];

    static readonly byte[] Weights = SafetensorsBytes.Of(
        """
        {"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},
        "b":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]},"c":{"note":[{"x":1}],"dtype":"F4","shape":[2],"data_offsets":[14,15]}}
        """, new byte[15]);

    const string Index = """{"metadata":{"total_size":15},"weight_map":{"a":"shard.safetensors","b":"./shard.safetensors"}}""";
    const string Config = """{"model_type":"smolvlm","scale_factor":4,"text_config":{"hidden_size":64,"rms_norm_eps":1e-5}}""";

    [Fact]
    public void Damaged_weights_are_refused_or_stay_within_the_file()
    {
        using var folder = new TemporaryFolder();
        Fuzz(Weights, bytes =>
        {
            using var file = SafetensorsFile.Open(folder.Write("model.safetensors", bytes));
            foreach (var tensor in file.Tensors.Values)
            {
                Assert.InRange(tensor.Offset, 0, bytes.Length);
                Assert.InRange(tensor.Length, 0, bytes.Length - tensor.Offset);
                Assert.Equal(bytes.AsSpan((int)tensor.Offset, (int)tensor.Length), tensor.Bytes(0, (int)tensor.Length));
            }
            Assert.True(file.Tensors.Values.Sum(t => t.Length) <= bytes.Length);
        });
    }

    [Fact]
    public void A_damaged_index_is_refused_or_stays_within_the_folder()
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", "{}");
        folder.Write("shard.safetensors", Weights);
        Fuzz(Encoding.UTF8.GetBytes(Index), bytes =>
        {
            folder.Write("model.safetensors.index.json", bytes);
            using var checkpoint = Checkpoint.Open(folder.Path);
            Assert.All(checkpoint.Tensors.Values, t => Assert.Equal(folder.File("shard.safetensors"), t.File.Path));
        });
    }

    [Fact]
    public void A_damaged_config_is_refused_or_read()
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", Config);
        folder.Write("model.safetensors", Weights);
        using var checkpoint = Checkpoint.Open(folder.Path);
        Fuzz(Encoding.UTF8.GetBytes(Config), bytes =>
        {
            folder.Write("config.json", bytes);
            Assert.NotNull(checkpoint.ReadJson("config.json", CheckpointTests.TestJson.Default.TestConfig).TextConfig);
        });
    }

    static void Fuzz(byte[] valid, Action<byte[]> read)
    {
        var random = new Random(20260101);
        var clock = Stopwatch.StartNew();
        int refused = 0, rounds = 0;
        for (; clock.Elapsed < Time; rounds++)
        {
            var bytes = Mutate(valid, random);
            try
            {
                read(bytes);
            }
            catch (CheckpointException)
            {
                refused++;
            }
            catch (Exception e)
            {
                Assert.Fail($"Round {rounds}, {Convert.ToHexString(bytes)}: {e}");
            }
        }
        Assert.InRange(refused, rounds / 4, rounds);   // damage that is hardly ever seen would test nothing
    }

    /// <summary>One to four damages: a flipped bit, a byte or piece put in or over, a run taken out or doubled, the end cut off.</summary>
    static byte[] Mutate(byte[] valid, Random random)
    {
        var bytes = new List<byte>(valid);
        for (int damages = random.Next(1, 5); damages > 0 && bytes.Count > 0; damages--)
        {
            int at = random.Next(bytes.Count), run = Math.Min(random.Next(1, 12), bytes.Count - at);
            var piece = Pieces[random.Next(Pieces.Length)];
            switch (random.Next(7))
            {
                case 0: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 1: bytes[at] = (byte)random.Next(256); break;
                case 2: bytes.InsertRange(at, piece); break;
                case 3: bytes.RemoveRange(at, run); bytes.InsertRange(at, piece); break;
                case 4: bytes.RemoveRange(at, run); break;
                case 5: bytes.InsertRange(at, bytes.GetRange(at, run)); break;
                default: bytes.RemoveRange(at, bytes.Count - at); break;
            }
        }

        // Mostly a header length that fits, or every change of the header's size would end at that one check.
        if (valid == Weights && bytes.Count >= 8 && random.Next(4) > 0)
            BitConverter.TryWriteBytes(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(bytes), (long)(bytes.Count - 8 - 15));
        return [.. bytes];
    }
}
