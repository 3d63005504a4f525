using System.Diagnostics;
using MedVlm.Benchmarks.Commands;
using MedVlm.Checkpoints;
using MedVlm.Checkpoints.Quantised;

namespace MedVlm.Tests.Checkpoints.Quantised;

/// <summary>Quantised weights are made once, and a file of the cache is whole or not there, whatever happens.</summary>
public sealed class QuantisedCacheTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void A_second_load_takes_the_first_ones_file()
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        int created = 0;
        var cache = Cache(folder, path => { created += path.Contains(".safetensors.", StringComparison.Ordinal) ? 1 : 0; return Create(path); });

        Open(cache, weights).Dispose();
        using var file = Open(cache, weights);

        Assert.Equal(1, created);
        Assert.Equal(Enum.GetNames<WeightPart>().Select(part => $"w/{part}").Order(StringComparer.Ordinal), file.Tensors.Keys.Order(StringComparer.Ordinal));
        Assert.All(file.Tensors.Values, tensor => Assert.Equal(0, tensor.Offset % (tensor.Dtype.Bits / 8)));
    }

    [Fact]
    public void Numbers_beyond_the_range_of_FP16_are_its_largest_and_the_file_says_how_many()
    {
        using var folder = new TemporaryFolder();
        using var weights = SafetensorsFile.Open(folder.Write("w.safetensors", SafetensorsBytes.Of(
            """{"w":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}""", 0x80, 0x3F, 0x80, 0x48, 0x80, 0xC8, 0x00, 0x40)));   // 1, 262144, -262144, 2

        using var file = Cache(folder).Open("test", [new QuantisedTensor("w", weights.Tensors["w"], null, WeightPart.Float16, [2, 2])], "model", Token).File;

        Assert.Equal([1, 65504, -65504, 2], Floats(file, "w"));
        Assert.Equal("2 weights, in \"w\"", file.Metadata[QuantisedCache.OutOfRange]);
    }

    [Fact]
    public void Another_content_or_scheme_or_adapter_has_another_file()
    {
        using var folder = new TemporaryFolder();
        var cache = Cache(folder);
        using var weights = Weights(folder);
        using var others = Weights(folder, seed: 2);
        using var copy = Weights(folder);
        var delta = new LoraDelta(others.Tensors["a"], others.Tensors["b"], 0.5f);

        var names = new List<string>();
        foreach (var open in (Func<SafetensorsFile>[])[
            () => Open(cache, weights), () => Open(cache, others), () => Open(cache, weights, scheme: "other"), () => Open(cache, weights, delta),
            () => Open(cache, weights, delta with { Scale = 1 }), () => Open(cache, copy)])
        {
            using var file = open();
            names.Add(file.FileName);
        }

        Assert.Equal(5, names.Distinct().Count());
        Assert.Equal(names[0], names[5]);   // the same content elsewhere
    }

    [Fact]
    public void The_adapter_is_in_the_numbers()
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        var delta = new LoraDelta(weights.Tensors["a"], weights.Tensors["b"], 0.5f);
        using var file = Open(Cache(folder), weights, delta);

        var (merged, w, a, b) = (Floats(file, "w/Float32"), Floats(weights, "w"), Floats(weights, "a"), Floats(weights, "b"));
        for (int row = 0; row < Outputs; row++)
        {
            for (int column = 0; column < Inputs; column++)
                Assert.Equal(w[row * Inputs + column] + 0.5f * b[row] * a[column], merged[row * Inputs + column], 1e-6f);
            Assert.Equal(merged.AsSpan(row * Inputs, Inputs).ToArray().Max(MathF.Abs) / 127, Floats(file, "w/Int8Scale")[row], 1e-7f);
        }
    }

    public static TheoryData<string> Damages => ["cut short", "one bit of the data", "empty", "header", "header that is still text", "no checksum", "another file"];

    [Theory, MemberData(nameof(Damages))]
    public void A_damaged_file_is_made_again(string damage)
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        var cache = Cache(folder);
        using (Open(cache, weights))
        { }
        var path = Assert.Single(cache.Files()).FullName;
        var whole = File.ReadAllBytes(path);
        byte[] damaged = [.. whole];
        switch (damage)
        {
            case "cut short": damaged = damaged[..^1]; break;
            case "one bit of the data": damaged[^1000] ^= 1; break;
            case "empty": damaged = []; break;
            case "header": damaged[20] ^= 255; break;
            case "header that is still text": damaged[8] ^= 1; break;   // {, the first of the JSON
            case "no checksum": damaged = Replace(damaged, "\"checksum\":\"", "\"checksum\":\"0000"); break;
            case "another file": damaged = SafetensorsBytes.OneTensor("x", "F32", [1], 0, 0, 0, 0); break;
        }
        Overwrite(path, damaged);

        var (file, fault) = OpenAndTell(cache, weights);
        file.Dispose();
        Assert.Contains(Path.GetFileName(path), fault, StringComparison.Ordinal);

        Assert.Equal(whole, File.ReadAllBytes(path));
        Assert.Single(Directory.GetFiles(cache.Folder, "*.safetensors"));
        Assert.Empty(Directory.GetFiles(cache.Folder, "*.tmp"));
    }

    [Fact]
    public void A_file_is_hashed_once_and_again_when_its_time_changes()
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        var cache = Cache(folder);
        Open(cache, weights).Dispose();
        var path = Assert.Single(cache.Files()).FullName;
        var whole = File.ReadAllBytes(path);
        var damaged = whole.ToArray();
        damaged[^1000] ^= 1;

        OverwriteUnseen(path, damaged);
        Open(cache, weights).Dispose();
        Assert.Equal(damaged, File.ReadAllBytes(path));   // not seen: nothing has read it

        File.SetLastWriteTimeUtc(path, File.GetLastWriteTimeUtc(path).AddSeconds(1));
        Open(cache, weights).Dispose();
        Assert.Equal(whole, File.ReadAllBytes(path));
    }

    // What is remembered of a file is a hash of its data: it excuses nothing else.
    public static TheoryData<string> UnseenDamages => ["header", "no checksum", "nothing remembered", "half remembered", "something else remembered"];

    [Theory, MemberData(nameof(UnseenDamages))]
    public void A_damage_that_kept_size_and_time_is_seen_where_more_than_data_is_damaged(string damage)
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        var cache = Cache(folder);
        string checksum;
        using (var file = Open(cache, weights))
            checksum = file.Metadata[QuantisedFile.Checksum];
        var path = Assert.Single(cache.Files()).FullName;
        var remembered = Assert.Single(Directory.GetFiles(cache.Folder, "*.hash"), file => File.ReadAllText(file) == checksum);
        var whole = File.ReadAllBytes(path);
        var damaged = whole.ToArray();
        damaged[^1000] ^= 1;
        switch (damage)
        {
            case "header": damaged[20] ^= 255; break;
            case "no checksum": damaged = Replace(damaged, "\"checksum\":\"", "\"checksum\":\"0000"); break;
            case "nothing remembered": File.Delete(remembered); break;
            case "half remembered": File.WriteAllText(remembered, checksum[..40]); break;
            case "something else remembered": File.WriteAllText(remembered, new string('0', 64)); break;
        }
        OverwriteUnseen(path, damaged);

        Open(cache, weights).Dispose();

        Assert.Equal(whole, File.ReadAllBytes(path));
    }

    [Fact]
    public void A_full_disk_leaves_nothing_behind()
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        for (int room = 0; room < 40_000; room += 3_331)
        {
            var cache = Cache(folder, path => new FullDisk(path, room));
            var error = Assert.Throws<IOException>(() => Open(cache, weights));

            Assert.Equal("No space left on device.", error.Message);
            Assert.Empty(Directory.GetFiles(cache.Folder, "*.tmp"));
            Assert.Empty(cache.Files());
        }
    }

    [Fact]
    public async Task Many_at_once_have_the_same_file()
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        var cache = Cache(folder);

        var contents = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
        {
            using var file = Open(cache, weights);
            return Convert.ToHexString(file.Tensors["w/Int4"].Bytes(0, (int)file.Tensors["w/Int4"].Length));
        })));

        Assert.Single(contents.Distinct());
        Assert.Single(cache.Files());
        Assert.Empty(Directory.GetFiles(cache.Folder, "*.tmp"));
    }

    [Fact]
    public void What_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not()
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        var cache = Cache(folder);
        Directory.CreateDirectory(cache.Folder);
        string Temporary(string name) => Path.Combine(cache.Folder, $"{Guid.NewGuid():N}{name}.{Guid.NewGuid():N}.tmp");
        string dead = Temporary("-int4-v2.safetensors"), living = Temporary("-int4-v2.safetensors"), young = Temporary(".hash"), other = Path.Combine(cache.Folder, "a.tmp");
        foreach (var path in (string[])[dead, living, young, other])
            File.WriteAllText(path, "half");
        File.SetLastWriteTimeUtc(dead, new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        File.SetLastWriteTimeUtc(living, new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        File.SetLastWriteTimeUtc(other, new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc));

        using (new FileStream(living, FileMode.Open, FileAccess.ReadWrite, FileShare.None))
            Open(cache, weights).Dispose();

        Assert.False(File.Exists(dead));
        Assert.True(File.Exists(living));
        Assert.True(File.Exists(young));
        Assert.True(File.Exists(other), "It is not the cache's.");
    }

    [Fact]
    public void Clear_deletes_what_the_cache_has_written_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        var cache = Cache(folder);
        Open(cache, weights).Dispose();
        string[] others = ["note.txt", "model.safetensors", "other.hash", "notes.tmp", $"{Guid.NewGuid():N}.tmp"];
        foreach (var other in others)
        {
            File.WriteAllText(Path.Combine(cache.Folder, other), "mine");
            File.SetLastWriteTimeUtc(Path.Combine(cache.Folder, other), new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        }
        long bytes = cache.Files().Sum(file => file.Length);

        Assert.InRange(cache.Clear(), bytes, bytes + 200);
        Assert.Equal(others.Order(StringComparer.Ordinal), Directory.GetFiles(cache.Folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Clear_leaves_what_is_in_use()
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        var cache = Cache(folder);
        using (var file = Open(cache, weights))
        {
            cache.Clear();
            Assert.Equal(file.FileName, Assert.Single(cache.Files()).Name);
        }

        Assert.True(cache.Clear() > 0);
        Assert.Empty(cache.Files());
    }

    [Fact]
    public void A_folder_that_is_a_file_is_refused_and_left_alone()
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        folder.Write("cache", "mine"u8.ToArray());
        var cache = Cache(folder);

        foreach (var act in (Action[])[() => cache.Clear(), () => cache.Files().ToList(), () => Open(cache, weights), cache.RequireWritable])
            Assert.Contains("is a file: name a folder by the environment variable MEDVLM_CACHE", Assert.Throws<IOException>(act).Message, StringComparison.Ordinal);
        Assert.Contains("is a file", cache.Problem(), StringComparison.Ordinal);
        Assert.Equal("mine", File.ReadAllText(cache.Folder));
    }

    [Fact]
    public void A_file_that_cannot_be_read_is_no_damaged_one()
    {
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        var cache = Cache(folder);
        Open(cache, weights).Dispose();
        var file = Assert.Single(cache.Files());
        var content = File.ReadAllBytes(file.FullName);
        file.LastWriteTimeUtc = new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc);

        using (new FileStream(file.FullName, FileMode.Open, FileAccess.ReadWrite, FileShare.None))
            Assert.Throws<IOException>(() => Open(cache, weights));

        Assert.Equal(new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc), File.GetLastWriteTimeUtc(file.FullName));
        Assert.Equal(content, File.ReadAllBytes(file.FullName));
    }

    [Fact]
    public void A_checkpoint_that_cannot_be_read_is_named()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows does not delete a file that is mapped.");
        using var folder = new TemporaryFolder();
        using var weights = Weights(folder);
        File.Delete(weights.ResolvedPath);

        var error = Assert.Throws<CheckpointException>(() => Open(Cache(folder), weights));

        Assert.Contains($"{weights.FileName}: the file cannot be read.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Faults_of_a_parallel_loop_come_out_as_they_were_thrown()
    {
        Assert.Throws<EndOfStreamException>(() => ParallelLoop.For(4, () => 0, (_, _, _) => throw new EndOfStreamException(), Token));
        Assert.Throws<OutOfMemoryException>(() => ParallelLoop.For<byte[]>(4, () => throw new OutOfMemoryException(), (_, _, _) => { }, Token));

        using var cancelled = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => ParallelLoop.For(
            1000, () => 0,
            (_, _, _) =>
            {
                cancelled.Cancel();
                throw new EndOfStreamException();
            }, cancelled.Token));
    }

    [Theory]
    [InlineData("/elsewhere", null, "/elsewhere"), InlineData(null, "/caches", "/caches/medvlm"), InlineData("~/mine", null, "/home/me/mine"), InlineData(null, null, "/home/me/.cache/medvlm")]
    public void The_folder_is_beside_the_hubs_cache(string? set, string? caches, string expected) => Assert.Equal(
        Path.GetFullPath(expected), QuantisedCache.FromEnvironment(name => name switch
        {
            "MEDVLM_CACHE" => set, "XDG_CACHE_HOME" => caches, "HOME" or "USERPROFILE" => "/home/me", _ => null,
        }).Folder);

    [Fact]
    public Task A_process_that_is_killed_leaves_no_wrong_file() => KillAsync(times: 3);

    [Fact(Explicit = true)]
    public Task A_process_that_is_killed_fifty_times_leaves_no_wrong_file() => KillAsync(times: 50);

    /// <summary>Kills a process at a random moment while it quantises the TinyModel, and looks at what it leaves.</summary>
    static async Task KillAsync(int times)
    {
        using var folder = new TemporaryFolder();
        var cache = folder.File("cache");
        long start = Stopwatch.GetTimestamp();
        var expected = await LoadAsync(folder.File("whole"), null);
        int longest = (int)Stopwatch.GetElapsedTime(start).TotalMilliseconds;   // the process's start is in it, so some come too late

        var random = new Random(times);
        int killed = 0;
        for (int i = 0; i < times; i++)
        {
            if (await LoadAsync(cache, random.Next(0, longest)) is null)
                killed++;
            foreach (var file in Directory.Exists(cache) ? Directory.GetFiles(cache, "*.safetensors") : [])
            {
                Assert.Equal(expected, File.ReadAllBytes(file));   // whole, or not there
                File.Delete(file);
            }
        }

        Assert.Equal(expected, await LoadAsync(cache, null));
        TestContext.Current.SendDiagnosticMessage($"{killed} of {times} processes were killed before they were done.");
        Assert.True(killed > 0, "No process was killed in time: wait for less.");
    }

    /// <summary>The file that a process leaves in the cache; null where it was killed.</summary>
    static async Task<byte[]?> LoadAsync(string cache, int? killAfterMilliseconds)
    {
        var start = new ProcessStartInfo("dotnet", ["load", TestFolders.TinyModel, "--precision", "int4", "--threads", "1"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, Environment = { ["MEDVLM_CACHE"] = cache },
        };
        start.ArgumentList.Insert(0, typeof(LoadCommand).Assembly.Location);
        using var process = Process.Start(start)!;
        Assert.Equal(LoadCommand.Begins, await process.StandardOutput.ReadLineAsync(Token));
        if (killAfterMilliseconds is { } milliseconds)
        {
            await Task.Delay(milliseconds, Token);
            process.Kill();
        }
        var rest = await process.StandardOutput.ReadToEndAsync(Token);
        await process.WaitForExitAsync(Token);
        return process.ExitCode == 0 && rest.Length > 0 ? File.ReadAllBytes(Assert.Single(Directory.GetFiles(cache, "*.safetensors"))) : null;
    }

    const int Outputs = 70, Inputs = 100;

    static QuantisedCache Cache(TemporaryFolder folder, Func<string, FileStream>? create = null) => new(folder.File("cache")) { CreateFile = create ?? Create };

    static FileStream Create(string path) => new(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);

    /// <summary>A checkpoint with one weight [70, 100], and an adapter of rank 1 for it.</summary>
    static SafetensorsFile Weights(TemporaryFolder folder, int seed = 1)
    {
        var random = new Random(seed);
        byte[] Values(int count) => [.. Enumerable.Range(0, count).SelectMany(_ => BitConverter.GetBytes(random.NextSingle() - 0.5f))];
        int w = 4 * Outputs * Inputs, a = w + 4 * Inputs, b = a + 4 * Outputs;
        return SafetensorsFile.Open(folder.Write($"model-{Guid.NewGuid():N}.safetensors", SafetensorsBytes.Of(
            $$$"""
            {"w":{"dtype":"F32","shape":[{{{Outputs}}},{{{Inputs}}}],"data_offsets":[0,{{{w}}}]},
            "a":{"dtype":"F32","shape":[1,{{{Inputs}}}],"data_offsets":[{{{w}}},{{{a}}}]},"b":{"dtype":"F32","shape":[{{{Outputs}}},1],"data_offsets":[{{{a}}},{{{b}}}]}}
            """, [.. Values(Outputs * Inputs), .. Values(Inputs), .. Values(Outputs)])));
    }

    static SafetensorsFile Open(QuantisedCache cache, SafetensorsFile weights, LoraDelta? delta = null, string scheme = "test") =>
        OpenAndTell(cache, weights, delta, scheme).File;

    static (SafetensorsFile File, string? Fault) OpenAndTell(QuantisedCache cache, SafetensorsFile weights, LoraDelta? delta = null, string scheme = "test") => cache.Open(
        scheme,
        [.. Enum.GetValues<WeightPart>().Select(part => new QuantisedTensor($"w/{part}", weights.Tensors["w"], delta, part, part.Shape(Outputs, Inputs)))],
        "model", Token);

    /// <summary>Changes a file at another time than its own, however coarse the file system's clock is.</summary>
    static void Overwrite(string path, byte[] bytes)
    {
        var time = File.GetLastWriteTimeUtc(path);
        File.WriteAllBytes(path, bytes);
        File.SetLastWriteTimeUtc(path, time.AddSeconds(1));
    }

    /// <summary>Changes a file, and gives it the time that it had.</summary>
    static void OverwriteUnseen(string path, byte[] bytes)
    {
        var time = File.GetLastWriteTimeUtc(path);
        File.WriteAllBytes(path, bytes);
        File.SetLastWriteTimeUtc(path, time);
    }

    static byte[] Replace(byte[] bytes, string from, string to)
    {
        int at = bytes.AsSpan().IndexOf(System.Text.Encoding.ASCII.GetBytes(from));
        System.Text.Encoding.ASCII.GetBytes(to).CopyTo(bytes, at);
        return bytes;
    }

    static float[] Floats(SafetensorsFile file, string name)
    {
        var values = new float[file.Tensors[name].Elements];
        Widen.ToFloat32(file.Tensors[name], values);
        return values;
    }

    /// <summary>A file on a disk that is full after some bytes.</summary>
    sealed class FullDisk(string path, int room) : FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, bufferSize: 0)
    {
        int _room = room;

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if ((_room -= buffer.Length) < 0)
                throw new IOException("No space left on device.");
            base.Write(buffer);
        }

        public override void Write(byte[] array, int offset, int count) => Write(array.AsSpan(offset, count));
    }
}
