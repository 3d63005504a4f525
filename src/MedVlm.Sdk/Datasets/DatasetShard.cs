using System.Globalization;
using MedVlm.Datasets;

namespace MedVlm;

/// <summary>
/// One part of a data set that several machines share: each item belongs to exactly one of the <see cref="Count"/> parts, by a hash of its
/// id alone. Which machine reads the data set, in which order, and what else is in it change nothing.
/// </summary>
/// <remarks>
/// The rule, which no version will change: bytes 16 to 23 of the SHA-256 of the id in UTF-8, as a big-endian number, modulo the count.
/// </remarks>
public readonly record struct DatasetShard
{
    /// <summary>One part.</summary>
    /// <param name="index">Number of the part: 0 to <paramref name="count"/> - 1.</param>
    /// <param name="count">How many parts there are: 1 to 65536.</param>
    /// <exception cref="ArgumentOutOfRangeException">Out of range.</exception>
    public DatasetShard(int index, int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, MaxCount);
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, count);
        (Index, _others) = (index, count - 1);
    }

    const int MaxCount = 65_536;

    readonly int _others;

    /// <summary>The whole data set: part 0 of 1.</summary>
    public static DatasetShard Whole => default;

    /// <summary>Number of the part, from 0.</summary>
    public int Index { get; }

    /// <summary>How many parts there are.</summary>
    public int Count => _others + 1;

    /// <summary>Whether an item belongs to this part.</summary>
    /// <param name="id">The item's id.</param>
    public bool Contains(string id)
    {
        ArgumentNullException.ThrowIfNull(id);
        return Contains(IdHash.Of(id));
    }

    internal bool Contains(IdHash id) => id.Place % (ulong)Count == (ulong)Index;

    /// <summary>Reads "index/count", such as "0/8"; "auto" and "auto/count" ask the environment.</summary>
    /// <param name="text">The text.</param>
    /// <exception cref="FormatException">Something else, or the environment does not say.</exception>
    public static DatasetShard Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var parts = text.Split('/');
        if (parts[0] == "auto" && parts.Length <= 2)
            return FromEnvironment(Environment.GetEnvironmentVariable, parts.Length == 2 ? Number(parts[1], text) : null);
        if (parts.Length != 2)
            throw Bad(text);
        return Of(Number(parts[0], text), Number(parts[1], text), text);
    }

    /// <summary>
    /// The part of this process in a Slurm array (SLURM_ARRAY_TASK_ID, _MIN, _STEP and _COUNT) or a Kubernetes indexed job
    /// (JOB_COMPLETION_INDEX, whose count Kubernetes does not tell).
    /// </summary>
    internal static DatasetShard FromEnvironment(Func<string, string?> variable, int? count)
    {
        if (Value("JOB_COMPLETION_INDEX") is { } completion)
            return Of(
                completion,
                count ?? throw new FormatException(
                    "Kubernetes does not tell a pod how many completions its job has: give \"auto/N\" with the job's completions for N."),
                "JOB_COMPLETION_INDEX");

        if (Value("SLURM_ARRAY_TASK_ID") is not { } task)
            throw new FormatException(
                "There is neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX in the environment that \"auto\" could take the shard from: give \"index/count\".");
        int step = Math.Max(Value("SLURM_ARRAY_TASK_STEP") ?? 1, 1), offset = task - (Value("SLURM_ARRAY_TASK_MIN") ?? 0);
        int tasks = Value("SLURM_ARRAY_TASK_COUNT") ?? throw new FormatException("SLURM_ARRAY_TASK_COUNT is not in the environment: give \"index/count\".");
        if (count is { } asked && asked != tasks)
            throw new FormatException($"The Slurm array has {tasks} tasks, but \"auto/{asked}\" was asked for.");
        if (offset % step != 0)
            throw new FormatException("The Slurm array is no even row of task numbers: give \"index/count\".");
        return Of(offset / step, tasks, "SLURM_ARRAY_TASK_ID (an array such as 0-7, without gaps)");

        int? Value(string name) => int.TryParse(variable(name), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
    }

    /// <summary>"index/count".</summary>
    public override string ToString() => $"{Index}/{Count}";

    static DatasetShard Of(int index, int count, string text) =>
        count is >= 1 and <= MaxCount && index >= 0 && index < count
            ? new(index, count)
            : throw new FormatException($"{text}: there is no shard {index} of {count}. Of N shards (at most {MaxCount}) the first is 0 and the last N - 1.");

    static int Number(string part, string text) =>
        int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : throw Bad(text);

    static FormatException Bad(string text) => new($"\"{text}\" is no shard: \"0/8\" is the first of eight, \"7/8\" the last.");
}
