using System.Diagnostics;

namespace MedVlm.Datasets;

/// <summary>What is known of each id, without the ids: a hash table of 128-bit keys with one byte of state.</summary>
/// <remarks>
/// Open addressing with linear probing, 17 bytes for each of a power of two of places, at most three quarters of which are taken: a
/// million ids take 36 MB, ROCOv2's 79,789 take 2.2 MB. Not thread-safe.
/// </remarks>
internal sealed class IdTable
{
    UInt128[] _keys = new UInt128[1024];
    byte[] _states = new byte[1024];

    /// <summary>How many keys there are.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes that the table takes.</summary>
    public long Bytes => _keys.Length * 17L;

    /// <summary>Adds a key.</summary>
    /// <param name="key">The key.</param>
    /// <param name="state">Its state, not 0.</param>
    /// <returns>Whether it is new; one that was there keeps its state.</returns>
    public bool Add(UInt128 key, byte state)
    {
        Debug.Assert(state != 0);
        if (Count >= _keys.Length / 4 * 3)
            Grow();
        int place = Place(key);
        if (_states[place] != 0)
            return false;
        (_keys[place], _states[place]) = (key, state);
        Count++;
        return true;
    }

    /// <summary>A key's state, which may be changed but not to 0; where there is no such key, a null reference.</summary>
    public ref byte Find(UInt128 key)
    {
        int place = Place(key);
        return ref _states[place] == 0 ? ref System.Runtime.CompilerServices.Unsafe.NullRef<byte>() : ref _states[place];
    }

    /// <summary>Changes every state.</summary>
    public void ForEach(Func<byte, byte> change)
    {
        for (int i = 0; i < _states.Length; i++)
            if (_states[i] != 0)
                _states[i] = change(_states[i]);
    }

    // The key is a cryptographic hash: its low bits are as good as any.
    int Place(UInt128 key)
    {
        int mask = _keys.Length - 1, place = (int)(ulong)key & mask;
        while (_states[place] != 0 && _keys[place] != key)
            place = (place + 1) & mask;
        return place;
    }

    void Grow()
    {
        var (keys, states) = (_keys, _states);
        (_keys, _states) = (new UInt128[checked(keys.Length * 2)], new byte[states.Length * 2]);
        for (int i = 0; i < keys.Length; i++)
            if (states[i] != 0)
            {
                int place = Place(keys[i]);
                (_keys[place], _states[place]) = (keys[i], states[i]);
            }
    }
}
