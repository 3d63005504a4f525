using System.Globalization;

namespace MedVlm.Datasets;

/// <summary>What a job must know of a data set before it begins, and keeps of each of its images: which are its own, and what became of them.</summary>
/// <remarks>Thread-safe: the reader of the data set asks while results come in.</remarks>
internal sealed class DatasetIndex
{
    /// <summary>How many ids a report names.</summary>
    public const int MostNamed = 20;

    // A state is 1 + flags + 16 x attempts.
    const byte There = 1, Mine = 2, Captioned = 4, Taken = 8, AttemptStep = 16;
    const int MostAttempts = 15;

    readonly Lock _lock = new();
    readonly IdTable _table = new();
    readonly List<string> _duplicates = [];

    DatasetIndex() { }

    /// <summary>Different ids of this shard.</summary>
    public long Total { get; private set; }

    /// <summary>Ids of this shard with a caption.</summary>
    public long CaptionedCount { get; private set; }

    /// <summary>Ids of this shard that were tried and have no caption.</summary>
    public long FailedCount { get; private set; }

    public DatasetIdentity Identity { get; private set; } = new(0, "", null);

    /// <summary>Rows whose id an earlier one has.</summary>
    public long DuplicateCount { get; private set; }

    public IReadOnlyList<string> Duplicates => _duplicates;

    /// <summary>Reads all ids and prompts of a data set.</summary>
    /// <exception cref="DatasetException">It cannot be read, or an id is empty.</exception>
    public static async Task<DatasetIndex> ReadAsync(CaptionDataset dataset, DatasetShard shard, CancellationToken cancellationToken)
    {
        var index = new DatasetIndex();
        UInt128 ids = 0, prompts = 0;
        bool anyPrompt = false;
        await foreach (var (id, prompt) in dataset.ReadKeysAsync(cancellationToken).ConfigureAwait(false))
        {
            if (string.IsNullOrEmpty(id))
                throw new DatasetException($"An item of the data set ({dataset.Description}) has no id: results could not be told apart.");
            var hash = IdHash.Of(id);
            bool mine = shard.Contains(hash);
            if (!index._table.Add(hash.Key, (byte)(There + (mine ? Mine : 0))))
            {
                index.DuplicateCount++;
                if (index._duplicates.Count < MostNamed)
                    index._duplicates.Add(id);
                continue;
            }
            ids += hash.Key;
            index.Total += mine ? 1 : 0;
            if (prompt is not null)
            {
                anyPrompt = true;
                prompts += IdHash.Of($"{id}\0{prompt}").Key;
            }
        }
        index.Identity = new(index._table.Count, Hex(ids), anyPrompt ? Hex(prompts) : null);
        return index;
    }

    /// <summary>Whether a pass over the data set should take this item: once, if it is this shard's and has no caption.</summary>
    /// <param name="id">The item's id.</param>
    /// <param name="maxAttempts">Those tried as often are left alone.</param>
    public bool Take(string id, int maxAttempts)
    {
        lock (_lock)
        {
            ref byte state = ref _table.Find(IdHash.Of(id).Key);
            if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref state) || (state & (Mine | Captioned | Taken)) != Mine || AttemptsOf(state) >= maxAttempts)
                return false;
            state |= Taken;
            return true;
        }
    }

    /// <summary>Begins another pass.</summary>
    public void BeginPass()
    {
        lock (_lock)
            _table.ForEach(state => (byte)(state & ~Taken));
    }

    /// <summary>Notes a caption.</summary>
    /// <returns>False if the id is not this shard's, or has one already.</returns>
    public bool AddCaption(string id)
    {
        lock (_lock)
        {
            ref byte state = ref _table.Find(IdHash.Of(id).Key);
            if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref state) || (state & (Mine | Captioned)) != Mine)
                return false;
            FailedCount -= AttemptsOf(state) > 0 ? 1 : 0;
            CaptionedCount++;
            state |= Captioned;
            return true;
        }
    }

    /// <summary>Notes that an image has failed so often, 0 for one that is tried anew; no more than 15 are told apart.</summary>
    /// <returns>Whether the id is this shard's and has no caption.</returns>
    public bool SetAttempts(string id, int attempts)
    {
        lock (_lock)
        {
            ref byte state = ref _table.Find(IdHash.Of(id).Key);
            if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref state) || (state & (Mine | Captioned)) != Mine)
                return false;
            FailedCount += (attempts > 0 ? 1 : 0) - (AttemptsOf(state) > 0 ? 1 : 0);
            state = (byte)(state % AttemptStep + Math.Min(attempts, MostAttempts) * AttemptStep);
            return true;
        }
    }

    /// <summary>How often an image has failed.</summary>
    public int Attempts(string id)
    {
        lock (_lock)
        {
            ref byte state = ref _table.Find(IdHash.Of(id).Key);
            return System.Runtime.CompilerServices.Unsafe.IsNullRef(ref state) ? 0 : AttemptsOf(state);
        }
    }

    /// <summary>Whether the id is this shard's and has no caption.</summary>
    public bool IsOpen(string id)
    {
        lock (_lock)
        {
            ref byte state = ref _table.Find(IdHash.Of(id).Key);
            return !System.Runtime.CompilerServices.Unsafe.IsNullRef(ref state) && (state & (Mine | Captioned)) == Mine;
        }
    }

    static int AttemptsOf(byte state) => state / AttemptStep;

    static string Hex(UInt128 value) => value.ToString("x32", CultureInfo.InvariantCulture);
}
