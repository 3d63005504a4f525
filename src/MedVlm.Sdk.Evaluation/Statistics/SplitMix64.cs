namespace MedVlm.Evaluation.Statistics;

/// <summary>A small generator whose numbers are the same on every machine and in every version of .NET, with any number of streams.</summary>
/// <remarks>Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.</remarks>
internal struct SplitMix64
{
    const ulong Gamma = 0x9E3779B97F4A7C15;

    ulong _state;

    /// <summary>A stream of its own for each piece of work, so that the numbers do not depend on which thread does it.</summary>
    public SplitMix64(long seed, long stream) => _state = Mix(Mix((ulong)seed + Gamma) + (ulong)stream);

    /// <summary>A whole number from 0 to <paramref name="count"/> - 1, by the high half of a product; its bias, count / 2^64, is nothing here.</summary>
    public int Next(int count) => (int)Math.BigMul(Next(), (ulong)count, out _);

    ulong Next() => Mix(_state += Gamma);

    static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
