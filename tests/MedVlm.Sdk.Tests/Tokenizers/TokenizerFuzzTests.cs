using System.Diagnostics;
using MedVlm.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

/// <summary>A damaged or hostile tokenizer.json gives a CheckpointException and nothing else.</summary>
/// <remarks>A fixed seed and about 3 seconds; the environment variable MEDVLM_FUZZ_SECONDS gives more.</remarks>
public sealed class TokenizerFuzzTests
{
    const int Seed = 20260;

    static readonly string[] Fragments =
    [
        "null", "true", "-1", "0", "1e999", "4194303", "2147483648", "\"\"", "\"\\ud800\"", "\"ByteLevel\"", "\"Sequence\"", "\"a\"",
        "[]", "{}", "[[[[[[[[", "{\"type\":\"Sequence\",\"pretokenizers\":[", "\"Ġ\"", ",", ":", "\"", "}", "]",
    ];

    static TimeSpan Time => TimeSpan.FromSeconds(
        double.TryParse(Environment.GetEnvironmentVariable("MEDVLM_FUZZ_SECONDS"), out var seconds) ? seconds : 3);

    [Theory]
    [InlineData("smolvlm"), InlineData("qwen2-vl"), InlineData("blip")]
    public void A_mutated_file_loads_and_encodes_or_is_refused_with_reason(string name)
    {
        var original = File.ReadAllBytes(Path.Combine(SmallTokenizers.Goldens, name, "checkpoint", "tokenizer.json"));
        var (random, clock) = (new Random(Seed), Stopwatch.StartNew());
        for (var round = 0; clock.Elapsed < Time / 2; round++)
        {
            var mutated = Mutate(original, random);
            try
            {
                var tokenizer = TokenizerJson.Parse(mutated, "tokenizer.json");
                tokenizer.Decode(tokenizer.Encode("<|im_start|>User: the 12 mm lésion's  𝕏\n"));
            }
            catch (CheckpointException e)
            {
                Assert.StartsWith("tokenizer.json: ", e.Message);
            }
            catch (Exception e)
            {
                Assert.Fail($"Round {round}, seed {Seed}: {e}");
            }
        }
    }

    /// <summary>Up to three changes. Half of them in the first and last bytes, where the settings are.</summary>
    static byte[] Mutate(byte[] original, Random random)
    {
        var bytes = new List<byte>(original);
        for (var changes = random.Next(1, 4); changes > 0 && bytes.Count > 1; changes--)
        {
            var at = random.Next(4) switch
            {
                0 => random.Next(Math.Min(bytes.Count, 20_000)),
                1 => bytes.Count - 1 - random.Next(Math.Min(bytes.Count, 500)),
                _ => random.Next(bytes.Count),
            };
            switch (random.Next(5))
            {
                case 0: bytes[at] = (byte)random.Next(256); break;
                case 1: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 2: bytes.RemoveRange(at, Math.Min(random.Next(1, 100), bytes.Count - at)); break;
                case 3: bytes.InsertRange(at, System.Text.Encoding.UTF8.GetBytes(Fragments[random.Next(Fragments.Length)])); break;
                default: bytes.InsertRange(at, bytes.GetRange(random.Next(bytes.Count), 1)); break;
            }
        }
        return [.. bytes];
    }
}
