using CsCheck;
using MedVlm.Datasets;

namespace MedVlm.Tests.Datasets;

/// <summary>Shards: disjoint, together the whole, the same on every machine and in every version.</summary>
public sealed class DatasetShardTests
{
    [Fact]
    public void Every_id_is_in_exactly_one_shard() =>
        Gen.Select(Gen.String, Gen.Int[1, 200]).Sample((id, count) =>
            Enumerable.Range(0, count).Count(index => new DatasetShard(index, count).Contains(id)) == 1);

    // Computed with Python: int.from_bytes(hashlib.sha256(id.encode()).digest()[16:24], "big") % count
    [Theory]
    [InlineData("ROCOv2_2023_train_000001", 8, 0)]
    [InlineData("Rö 胸部.png", 1000, 640)]
    [InlineData("", 7, 3)]
    public void The_rule_does_not_change(string id, int count, int index) => Assert.True(new DatasetShard(index, count).Contains(id), $"{IdHash.Of(id).Place % (ulong)count}");

    [Fact]
    public void Shards_are_of_about_the_same_size()
    {
        var sizes = new int[8];
        for (int i = 0; i < 80_000; i++)
            sizes[Enumerable.Range(0, 8).First(index => new DatasetShard(index, 8).Contains($"ROCOv2_2023_train_{i:D6}"))]++;
        Assert.All(sizes, size => Assert.InRange(size, 9_500, 10_500));
    }

    [Theory]
    [InlineData("0/1", 0, 1)]
    [InlineData("7/8", 7, 8)]
    public void Text_is_read(string text, int index, int count)
    {
        Assert.Equal(new DatasetShard(index, count), DatasetShard.Parse(text));
        Assert.Equal(text, DatasetShard.Parse(text).ToString());
    }

    [Theory]
    [InlineData("8/8", "8/8: there is no shard 8 of 8. Of N shards (at most 65536) the first is 0 and the last N - 1.")]
    [InlineData("0/0", "0/0: there is no shard 0 of 0. Of N shards (at most 65536) the first is 0 and the last N - 1.")]
    [InlineData("1", "\"1\" is no shard: \"0/8\" is the first of eight, \"7/8\" the last.")]
    [InlineData("-1/8", "\"-1/8\" is no shard: \"0/8\" is the first of eight, \"7/8\" the last.")]
    [InlineData("1/2/3", "\"1/2/3\" is no shard: \"0/8\" is the first of eight, \"7/8\" the last.")]
    public void Text_that_is_none_is_refused(string text, string message) => Assert.Equal(message, Assert.Throws<FormatException>(() => DatasetShard.Parse(text)).Message);

    [Theory]
    [InlineData("SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=0", null, "3/8")]
    [InlineData("SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=1", null, "2/8")]
    [InlineData("SLURM_ARRAY_TASK_ID=20 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=10 SLURM_ARRAY_TASK_STEP=5", null, "2/3")]
    [InlineData("JOB_COMPLETION_INDEX=2", 4, "2/4")]
    [InlineData("JOB_COMPLETION_INDEX=2", null, "Kubernetes does not tell")]
    [InlineData("SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=8", 9, "has 8 tasks")]
    [InlineData("SLURM_ARRAY_TASK_ID=9 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=0", null, "there is no shard 9 of 3")]
    [InlineData("", null, "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX")]
    public void The_environment_tells_the_shard(string environment, int? count, string expected)
    {
        var variables = environment.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(pair => pair.Split('=')).ToDictionary(pair => pair[0], pair => pair[1]);
        string found;
        try
        {
            found = DatasetShard.FromEnvironment(variables.GetValueOrDefault, count).ToString();
        }
        catch (FormatException e)
        {
            found = e.Message;
        }
        Assert.Contains(expected, found, StringComparison.Ordinal);
    }

    [Fact]
    public void The_table_of_ids_says_what_a_dictionary_says() =>
        Gen.Select(Gen.UInt[0, 3000], Gen.Byte[1, 255]).Array[0, 3000].Sample(pairs =>
        {
            var (table, model) = (new IdTable(), new Dictionary<UInt128, byte>());
            foreach (var (number, state) in pairs)
            {
                // Keys that share their low bits, too.
                var key = number % 3 == 0 ? (UInt128)number << 64 : IdHash.Of($"{number}").Key;
                Assert.Equal(model.TryAdd(key, state), table.Add(key, state));
            }
            foreach (var (key, state) in model)
                Assert.Equal(state, table.Find(key));
            return table.Count == model.Count && System.Runtime.CompilerServices.Unsafe.IsNullRef(ref table.Find(UInt128.MaxValue));
        }, iter: 30);

    [Fact]
    public void A_million_ids_take_36_megabytes()
    {
        var table = new IdTable();
        for (int i = 0; i < 1_000_000; i++)
            table.Add(IdHash.Of($"ROCOv2_2023_train_{i:D6}").Key, 1);
        Assert.Equal(35_651_584, table.Bytes);
    }
}
