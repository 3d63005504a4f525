using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;

namespace MedVlm.Tests;

/// <summary>Damaged copies of valid files, the same ones in every run, until the time budget is spent.</summary>
/// <remarks>A few seconds in the suite; minutes with <c>MEDVLM_FUZZ_SECONDS=300 dotnet test --filter Fuzz</c>.</remarks>
internal static class Fuzz
{
    /// <summary>Seconds that one fuzz test may take. Default: 3.</summary>
    public const string SecondsVariable = "MEDVLM_FUZZ_SECONDS";

    /// <summary>How long one fuzz test runs.</summary>
    public static TimeSpan Budget { get; } = TimeSpan.FromSeconds(
        double.TryParse(Environment.GetEnvironmentVariable(SecondsVariable), CultureInfo.InvariantCulture, out var seconds) ? seconds : 3);

    /// <summary>An endless row of damaged copies of one file; equal seeds give equal rows.</summary>
    public static IEnumerable<byte[]> Mutations(byte[] seedFile, int seed = 1)
    {
        var random = new Random(seed);
        while (true)
        {
            var file = seedFile;
            for (int i = random.Next(1, 5); i > 0; i--)
                file = Mutate(file, random);
            yield return file;
        }
    }

    /// <summary>Feeds damaged copies of each file in turn to <paramref name="target"/>; only <typeparamref name="TExpected"/> may come out.</summary>
    /// <returns>How many copies were tried.</returns>
    public static int Run<TExpected>(IReadOnlyList<byte[]> seedFiles, Action<byte[]> target, int seed = 1) where TExpected : Exception
    {
        var rows = seedFiles.Select((file, i) => Mutations(file, seed + i).GetEnumerator()).ToArray();
        var clock = Stopwatch.StartNew();
        int tried = 0;
        for (; clock.Elapsed < Budget; tried++)
        {
            var row = rows[tried % rows.Length];
            row.MoveNext();
            try
            {
                target(row.Current);
            }
            catch (TExpected)
            {
                // The refusal that is asked for.
            }
            catch (Exception e)
            {
                var kept = Path.Combine(Path.GetTempPath(), $"medvlm-fuzz-{seed}-{tried}.bin");
                File.WriteAllBytes(kept, row.Current);
                throw new InvalidOperationException(
                    $"Mutation {tried} of seed {seed} brought {e.GetType().Name} instead of {typeof(TExpected).Name}; the file is kept as {kept}.", e);
            }
        }

        return tried;
    }

    static byte[] Mutate(byte[] file, Random random)
    {
        if (file.Length == 0)
            return [(byte)random.Next(256)];

        var copy = (byte[])file.Clone();
        int at = random.Next(file.Length);
        int length = random.Next(1, Math.Min(64, file.Length - at) + 1);
        switch (random.Next(9))
        {
            case 0: // one bit
                copy[at] ^= (byte)(1 << random.Next(8));
                return copy;
            case 1: // one byte, often an extreme one
                copy[at] = random.Next(4) switch { 0 => 0, 1 => 0xFF, 2 => 0x7F, _ => (byte)random.Next(256) };
                return copy;
            case 2: // random bytes
                random.NextBytes(copy.AsSpan(at, length));
                return copy;
            case 3: // cut off
                return copy[..at];
            case 4: // remove
                return [.. copy[..at], .. copy[(at + length)..]];
            case 5: // repeat
                return [.. copy[..(at + length)], .. copy[at..]];
            case 6 when copy.Length >= at + 4: // an extreme integer, as a size or an offset might be
                uint value = random.Next(4) switch { 0 => uint.MaxValue, 1 => 0x7FFF_FFFF, 2 => 0u, _ => (uint)random.Next(1 << 20) };
                if (random.Next(2) == 0)
                    BinaryPrimitives.WriteUInt32LittleEndian(copy.AsSpan(at), value);
                else
                    BinaryPrimitives.WriteUInt32BigEndian(copy.AsSpan(at), value);
                return copy;
            case 7: // the same near the start, where headers are
                copy[random.Next(Math.Min(64, copy.Length))] = (byte)random.Next(256);
                return copy;
            default: // copy one part over another
                copy.AsSpan(at, length).ToArray().CopyTo(copy, random.Next(copy.Length - length + 1));
                return copy;
        }
    }
}
