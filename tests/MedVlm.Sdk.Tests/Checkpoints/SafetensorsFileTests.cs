using System.Runtime.CompilerServices;
using MedVlm.Checkpoints;

namespace MedVlm.Tests.Checkpoints;

public sealed unsafe class SafetensorsFileTests
{
    /// <summary>Header, data bytes, message after the file's name.</summary>
    public static TheoryData<string, int, string> Faults => new()
    {
        {
            """{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8,
            "tensor \"x\": data_offsets [0, 8] hold 8 bytes, but F32 [3] needs 12. " + FetchAgain
        },
        {
            """{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 7,
            "tensor \"x\": data_offsets [0, 8] end beyond the 7 bytes of data in the file. " + FetchAgain
        },
        {
            """{"x":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}""", 8,
            "tensor \"x\": dtype \"F33\" is not a type of safetensors. Type names are upper case, as \"BF16\"; if the file is right, "
            + "a newer version of this library may know the type."
        },
        {
            """{"x":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}""", 2,
            "tensor \"x\": F4 [3] takes 12 bits, which is no whole number of bytes. " + FetchAgain
        },
        {
            """{"x":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,0]}}""", 0,
            "tensor \"x\": F32 [4294967296, 4294967296, 2] is larger than any file. " + FetchAgain
        },
        {
            """{"x":{"dtype":"U8","shape":[0,18446744073709551615],"data_offsets":[0,0]}}""", 0,
            "tensor \"x\": shape [0, 18446744073709551615] has a size beyond 2^63-1. " + FetchAgain
        },
        {
            """{"x":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}""", 0,
            "tensor \"x\": shape holds something other than whole numbers of 0 to 2^64-1. " + FetchAgain
        },
        {
            """{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"y":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}}""", 6,
            "tensor \"y\": 4 bytes before it belong to no tensor. " + FetchAgain
        },
        {
            """{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}""", 3,
            "tensor \"y\": its bytes are shared with another tensor. " + FetchAgain
        },
        {
            """{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 4,
            "3 bytes at the end belong to no tensor. " + FetchAgain
        },
        {
            """{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}""", 1,
            "tensor \"x\": the header lists this name twice, with different entries. " + FetchAgain
        },
        {
            """{"x":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,2]}}""", 2,
            "tensor \"x\": data_offsets [0, 2] hold 2 bytes, but U8 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, … 17 numbers] needs 1. "
            + FetchAgain
        },
        { """{"x":{"dtype":"U8","shape":[1],"data_offsets":[0]}}""", 1, "tensor \"x\": data_offsets [0] are not two numbers. " + FetchAgain },
        { """{"x":{"dtype":"U8","shape":[1]}}""", 0, "tensor \"x\": data_offsets is missing. " + FetchAgain },
        { """{"__metadata__":{"step":1}}""", 0, "__metadata__ \"step\" is not a string. " + FetchAgain },
        { """{"__metadata__":null,"__metadata__":null}""", 0, "__metadata__ is there twice. " + FetchAgain },
        { """{"x":{"note":["\udc00"]}}""", 0, "the header holds an escaped character that is not valid Unicode. " + FetchAgain },
        { "{\"x\":\n {\"dtype\":}}", 0, "the header is not valid JSON at line 2, byte 11. " + FetchAgain },
        { "[]", 0, "the header is not a JSON object. " + FetchAgain },
        {
            """{"a\nb\u202e\"":5}""", 0,
            """tensor "a\u000ab\u202e\"": the entry is not an object. """ + FetchAgain
        },
    };

    const string FetchAgain = "The file is damaged or was cut short: fetch it again.";

    [Theory, MemberData(nameof(Faults))]
    public void Says_what_is_wrong_where_and_what_to_do(string header, int dataBytes, string message)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("model.safetensors", SafetensorsBytes.Of(header, new byte[dataBytes]));

        Assert.Equal("model.safetensors: " + message, Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(path)).Message);
    }

    [Fact]
    public void Says_that_the_file_is_not_there()
    {
        using var folder = new TemporaryFolder();

        var fault = Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder.File("model.safetensors")));

        Assert.Equal($"model.safetensors: there is no such file in \"{folder.Path}\".", fault.Message);
    }

    [Theory]
    [InlineData(100_000_001, "the header claims 100000001 bytes, more than the 100000000 that the format allows. "
        + "The file is damaged or is not safetensors: fetch it again.")]
    [InlineData(99, "the header claims 99 bytes, but only 2 follow. " + FetchAgain)]
    public void Says_that_the_header_is_too_long(long length, string message)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("model.safetensors", [.. BitConverter.GetBytes(length), (byte)'{', (byte)'}']);

        Assert.Equal("model.safetensors: " + message, Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(path)).Message);
    }

    [Fact]
    public void Shortens_a_name_of_many_characters_in_messages()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("model.safetensors", SafetensorsBytes.Of($$"""{"{{new string('x', 100_000)}}":5}"""));

        Assert.InRange(Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(path)).Message.Length, 200, 400);
    }

    [Theory]
    [InlineData(124, true)]
    [InlineData(125, true)]
    [InlineData(126, false)]
    public void Takes_unknown_fields_as_deep_as_the_reference(int depth, bool valid)
    {
        // serde_json refuses the 128th level; the entry itself is the second.
        var deep = new string('[', depth) + new string(']', depth);
        using var folder = new TemporaryFolder();
        var path = folder.Write("m.safetensors", SafetensorsBytes.Of(
            $$$"""{"x":{"dtype":"U8","note":{{{deep}}},"shape":[1],"data_offsets":[0,1]}}""", 7));

        if (valid)
            using (var file = SafetensorsFile.Open(path))
                Assert.Equal(7, file.Tensors["x"].Data[0]);
        else
            Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(path));
    }

    [Fact]
    public void Skips_unknown_fields_of_every_kind()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("m.safetensors", SafetensorsBytes.Of(
            """
            {"x":{"a":{"b":[1,{"c":"d"},[]],"e":{}},"f":null,"g":1.5,"h":[],"i":true,
            "dtype":"U8","j":"","shape":[1],"data_offsets":[0,1]}}
            """, 7));

        using var file = SafetensorsFile.Open(path);

        Assert.Equal("U8 [1]", file.Tensors["x"].ToString());
    }

    [Fact]
    public void Reads_tensors_beyond_4_GiB()
    {
        const long big = 5L << 30, total = big + 4;
        using var folder = new TemporaryFolder();
        var header = $$$"""
            {"big":{"dtype":"U8","shape":[{{{big}}}],"data_offsets":[0,{{{big}}}]},
            "last":{"dtype":"I32","shape":[1],"data_offsets":[{{{big}}},{{{total}}}]}}
            """;
        var bytes = SafetensorsBytes.Of(header);
        var path = folder.Write("model.safetensors", bytes);
        using (var sparse = File.OpenWrite(path))   // takes no disk space but for the pages that are written
        {
            sparse.SetLength(bytes.Length + total);
            sparse.Position = bytes.Length + big - 1;
            sparse.Write([7, 1, 2, 3, 4]);
        }

        using var file = SafetensorsFile.Open(path);

        var (bigTensor, last) = (file.Tensors["big"], file.Tensors["last"]);
        Assert.Equal(big, bigTensor.Length);
        Assert.Equal(big, bigTensor.Elements);
        Assert.Equal([0, 7], bigTensor.Bytes(big - 2, 2).ToArray());
        Assert.Equal(7, bigTensor.Data[big - 1]);
        Assert.Equal(bytes.Length + big, last.Offset);
        Assert.Equal([1, 2, 3, 4], last.Bytes(0, 4).ToArray());
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, -1)]
    [InlineData(0, 5)]
    [InlineData(4, 1)]
    [InlineData(long.MaxValue, 1)]
    [InlineData(long.MaxValue, int.MaxValue)]
    public void Never_reads_beside_the_tensor(long start, int count)
    {
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("m.safetensors", SafetensorsBytes.OneTensor("x", "U8", [4], 1, 2, 3, 4)));

        Assert.Throws<ArgumentOutOfRangeException>(() => file.Tensors["x"].Bytes(start, count).Length);
    }

    [Fact]
    public void Cannot_be_read_after_it_is_disposed()
    {
        using var folder = new TemporaryFolder();
        var file = SafetensorsFile.Open(folder.Write("m.safetensors", SafetensorsBytes.OneTensor("x", "U8", [1], 1)));
        var tensor = file.Tensors["x"];

        file.Dispose();
        file.Dispose();

        Assert.Throws<ObjectDisposedException>(() => tensor.Bytes(0, 1).Length);
        Assert.Throws<ObjectDisposedException>(() => tensor.Data[0]);
    }

    [Fact]
    public void Names_the_file_behind_a_chain_of_links()
    {
        using var folder = new TemporaryFolder();
        var blob = folder.Write("blobs/0123", SafetensorsBytes.OneTensor("x", "U8", [1], 1));
        Directory.CreateDirectory(folder.File("snapshots"));
        var (second, first) = (folder.File("snapshots/second"), folder.File("snapshots/model.safetensors"));
        File.CreateSymbolicLink(second, "../blobs/0123");
        File.CreateSymbolicLink(first, "second");

        using var file = SafetensorsFile.Open(first);

        Assert.Equal(first, file.Path);
        Assert.Equal("model.safetensors", file.FileName);
        Assert.Equal(blob, file.ResolvedPath);
    }

    [Fact]
    public void Refuses_links_in_a_circle_and_links_to_nothing()
    {
        using var folder = new TemporaryFolder();
        File.CreateSymbolicLink(folder.File("a.safetensors"), "b.safetensors");
        File.CreateSymbolicLink(folder.File("b.safetensors"), "a.safetensors");
        File.CreateSymbolicLink(folder.File("c.safetensors"), "nothing");

        foreach (var name in (string[])["a.safetensors", "b.safetensors", "c.safetensors"])
            Assert.Equal($"{name}: there is no such file in \"{folder.Path}\".",
                Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(folder.File(name))).Message);
    }

    [Fact]
    public void Leaves_no_handle_open_and_nothing_mapped()
    {
        using var folder = new TemporaryFolder();
        var good = folder.Write("good.safetensors", SafetensorsBytes.OneTensor("x", "U8", [4096], new byte[4096]));
        var bad = folder.Write("bad.safetensors", SafetensorsBytes.OneTensor("x", "U8", [4095], new byte[4096]));

        for (int i = 0; i < 100; i++)
        {
            using (var file = SafetensorsFile.Open(good))
                Assert.Equal(0, file.Tensors["x"].Data[4095]);
            Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(bad));
        }

        AssertNothingOpen(folder);
    }

    [Fact]
    public void A_file_that_is_never_disposed_is_unmapped_with_the_garbage()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("m.safetensors", SafetensorsBytes.OneTensor("x", "U8", [1], 7));

        Forget(path);
        GC.Collect();
        GC.WaitForPendingFinalizers();

        AssertNothingOpen(folder);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static void Forget(string path) => Assert.Equal(7, SafetensorsFile.Open(path).Tensors["x"].Data[0]);
    }

    static void AssertNothingOpen(TemporaryFolder folder)
    {
        if (!OperatingSystem.IsLinux())
            return;   // deleting the folder fails on Windows while one of its files is open
        Assert.DoesNotContain(Directory.GetFiles("/proc/self/fd").Select(LinkTarget),
            target => target?.StartsWith(folder.Path, StringComparison.Ordinal) == true);
        Assert.DoesNotContain(File.ReadLines("/proc/self/maps"), line => line.Contains(folder.Path, StringComparison.Ordinal));

        static string? LinkTarget(string descriptor)
        {
            try
            {
                return new FileInfo(descriptor).LinkTarget;
            }
            catch (IOException)
            {
                return null;   // closed since the listing
            }
        }
    }
}
