using CsCheck;
using MedVlm.Checkpoints;

namespace MedVlm.Tests.Checkpoints;

public sealed class WidenTests
{
    public static TheoryData<string, int> Types => new()
    {
        { "BF16", 2 }, { "F16", 2 }, { "F32", 4 }, { "F64", 8 }, { "F8_E4M3", 1 }, { "F8_E5M2", 1 },
    };

    /// <summary>One element, as its definition says.</summary>
    static float Scalar(string dtype, ReadOnlySpan<byte> bytes) => dtype switch
    {
        "BF16" => BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(bytes) << 16),
        "F16" => (float)BitConverter.ToHalf(bytes),
        "F32" => BitConverter.ToSingle(bytes),
        "F64" => (float)BitConverter.ToDouble(bytes),
        "F8_E4M3" => Float8.E4M3[bytes[0]],   // proven code by code by the goldens
        "F8_E5M2" => Float8.E5M2[bytes[0]],
        _ => throw new ArgumentOutOfRangeException(nameof(dtype)),
    };

    [Theory, MemberData(nameof(Types))]
    public void Many_elements_at_once_are_what_each_is_alone(string dtype, int size)
    {
        using var folder = new TemporaryFolder();
        int files = 0;

        // The odd prefix moves the data off every alignment.
        Gen.Select(Gen.Byte.Array[0, 9], Gen.Int[0, 200].SelectMany(n => Gen.Byte.Array[n * size])).Sample((prefix, data) =>
        {
            var name = $"{Interlocked.Increment(ref files)}.safetensors";
            using var file = SafetensorsFile.Open(folder.Write(name, SafetensorsBytes.Of(
                $$$"""
                {"p":{"dtype":"U8","shape":[{{{prefix.Length}}}],"data_offsets":[0,{{{prefix.Length}}}]},
                "x":{"dtype":"{{{dtype}}}","shape":[{{{data.Length / size}}}],
                "data_offsets":[{{{prefix.Length}}},{{{prefix.Length + data.Length}}}]}}
                """, [.. prefix, .. data])));
            var widened = new float[data.Length / size];

            Widen.ToFloat32(file.Tensors["x"], widened);

            for (int i = 0; i < widened.Length; i++)
                AssertSame(Scalar(dtype, data.AsSpan(i * size)), widened[i]);
        }, iter: 200);
    }

    [Theory]
    [InlineData("BF16")]
    [InlineData("F16")]
    public void Every_16_bit_code_is_exact(string dtype)
    {
        var data = new byte[65536 * 2];
        for (int code = 0; code < 65536; code++)
            BitConverter.TryWriteBytes(data.AsSpan(code * 2), (ushort)code);
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("m.safetensors", SafetensorsBytes.OneTensor("x", dtype, [256, 256], data)));
        var widened = new float[65536];

        Widen.ToFloat32(file.Tensors["x"], widened);

        for (int code = 0; code < 65536; code++)
            AssertSame(Scalar(dtype, data.AsSpan(code * 2)), widened[code]);
    }

    [Fact]
    public unsafe void Blocks_on_all_cores_fill_a_large_tensor_without_a_seam()
    {
        const int elements = (3 << 20) + 12345;
        var data = new byte[elements * 2];
        new Random(1).NextBytes(data);
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("m.safetensors", SafetensorsBytes.OneTensor("x", "BF16", [elements], data)));
        using var buffer = new NativeBuffer(elements * (nuint)sizeof(float));

        Widen.ToFloat32(file.Tensors["x"], (float*)buffer.Data);

        for (int i = 0; i < elements; i++)
            if (BitConverter.SingleToUInt32Bits(((float*)buffer.Data)[i]) != (uint)BitConverter.ToUInt16(data, i * 2) << 16)
                Assert.Fail($"Element {i} differs.");
    }

    [Theory, MemberData(nameof(Types))]
    public void A_row_is_that_part_of_the_whole(string dtype, int size)
    {
        const int rows = 5, columns = 37;
        var data = new byte[rows * columns * size];
        new Random(1).NextBytes(data);
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("m.safetensors", SafetensorsBytes.OneTensor("x", dtype, [rows, columns], data)));
        var (whole, row) = (new float[rows * columns], new float[columns]);

        Widen.ToFloat32(file.Tensors["x"], whole);
        for (int r = 0; r < rows; r++)
        {
            Widen.RowToFloat32(file.Tensors["x"], r, row);
            for (int c = 0; c < columns; c++)
                AssertSame(whole[r * columns + c], row[c]);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => Widen.RowToFloat32(file.Tensors["x"], rows, row));
        Assert.Throws<ArgumentOutOfRangeException>(() => Widen.RowToFloat32(file.Tensors["x"], -1, row));
        Assert.Throws<ArgumentException>(() => Widen.RowToFloat32(file.Tensors["x"], 0, new float[columns - 1]));
        Assert.Throws<ArgumentException>(() => Widen.ToFloat32(file.Tensors["x"], new float[rows * columns - 1]));
    }

    [Fact]
    public void Says_that_a_quantised_tensor_is_not_read()
    {
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("m.safetensors", SafetensorsBytes.OneTensor("q_proj.weight", "U8", [1], 1)));

        var fault = Assert.Throws<CheckpointException>(() => Widen.ToFloat32(file.Tensors["q_proj.weight"], new float[1]));

        Assert.Equal("m.safetensors: tensor \"q_proj.weight\" is U8, which is not a weight type that this library reads: F32, F16, BF16, "
            + "F64, F8_E4M3 or F8_E5M2. Take a checkpoint that is not quantised beforehand; this library quantises at load.", fault.Message);
    }

    static void AssertSame(float expected, float actual)
    {
        // A NaN's payload carries nothing.
        if (!(float.IsNaN(expected) && float.IsNaN(actual)))
            Assert.Equal(BitConverter.SingleToUInt32Bits(expected), BitConverter.SingleToUInt32Bits(actual));
    }
}
