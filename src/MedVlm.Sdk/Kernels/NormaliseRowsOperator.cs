using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using MedVlm.Graphs;

namespace MedVlm.Kernels;

/// <summary>
/// A norm and <see cref="QuantiseRowsOperator"/> in one pass: x [..., C], gain [C] and, for LayerNorm, shift [C] to uint8 [..., C] and [..., 1].
/// Without a shift it is RMSNorm, which subtracts no mean (arXiv:1910.07467).
/// </summary>
internal sealed class NormaliseRowsOperator() : CustomOperator(
    Name, [ElementType.Float32, ElementType.Float32, ElementType.Float32], [ElementType.UInt8, ElementType.Float32], optional: 1)
{
    public new const string Name = "NormaliseRows";

    public override CustomKernel CreateKernel(nint info) => new Kernel(OrtApi.FloatAttribute(info, "epsilon"u8), OrtApi.IntAttribute(info, "range"u8));

    sealed class Kernel(float epsilon, int range) : CustomKernel
    {
        public override unsafe void Compute(KernelContext context)
        {
            var x = context.Input(0);
            using var rows = RowChunks.Scratch(context, x.Rows, x[-1]);
            var work = new Work
            {
                X = x.Data<float>(), Gain = context.Input(1).Data<float>(), Shift = context.OptionalData<float>(2),
                Numbers = context.Output<byte>(0, x), Scales = context.Output<float>(1, x, last: 1),
                Rows = x.Rows, Width = x[-1], ChunkRows = RowChunks.Rows(x.Rows, x[-1]), Buffers = (float*)rows.Data, Epsilon = epsilon, Range = range,
            };
            context.ForEach(RowChunks.Count(work.Rows, work.ChunkRows), &Normalise, &work);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    [SkipLocalsInit]
    static unsafe void Normalise(void* data, nuint index)
    {
        ref var work = ref *(Work*)data;
        float* local = stackalloc float[work.Buffers == null ? work.Width : 0];
        float* buffer = work.Buffers == null ? local : work.Buffers + (nint)index * work.Width;
        for (int row = (int)index * work.ChunkRows, end = Math.Min(row + work.ChunkRows, work.Rows); row < end; row++)
        {
            nint first = (nint)row * work.Width;
            Row(work.X + first, work.Gain, work.Shift, work.Epsilon, buffer, work.Width);
            work.Scales[row] = RowNumbers.Quantise(buffer, work.Width, work.Range, work.Numbers + first);
        }
    }

    /// <summary>The norm of one row.</summary>
    /// <param name="x">The row.</param>
    /// <param name="gain">What each of its numbers is multiplied by.</param>
    /// <param name="shift">What is added then; null for RMSNorm.</param>
    /// <param name="epsilon">What is added to the variance.</param>
    /// <param name="result">Receives the result.</param>
    /// <param name="width">Numbers of the row.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static unsafe void Row(float* x, float* gain, float* shift, float epsilon, float* result, int width)
    {
        float mean = shift == null ? 0 : Sum(x, width) / width;
        float factor = 1 / MathF.Sqrt(SumOfSquares(x, mean, width) / width + epsilon);
        var (middle, scale) = (Vector256.Create(mean), Vector256.Create(factor));
        int i = 0;
        for (; i + 8 <= width; i += 8)
        {
            var y = Avx.Multiply(Avx.Multiply(Avx.Subtract(Avx.LoadVector256(x + i), middle), scale), Avx.LoadVector256(gain + i));
            if (shift != null)
                y = Avx.Add(y, Avx.LoadVector256(shift + i));
            y.Store(result + i);
        }
        for (; i < width; i++)
            result[i] = (x[i] - mean) * factor * gain[i] + (shift == null ? 0 : shift[i]);
    }

    static unsafe float Sum(float* x, int width)
    {
        var (a, b) = (Vector256<float>.Zero, Vector256<float>.Zero);
        int i = 0;
        for (; i + 16 <= width; i += 16)
            (a, b) = (Avx.Add(a, Avx.LoadVector256(x + i)), Avx.Add(b, Avx.LoadVector256(x + i + 8)));
        float sum = Vector256.Sum(Avx.Add(a, b));
        for (; i < width; i++)
            sum += x[i];
        return sum;
    }

    static unsafe float SumOfSquares(float* x, float mean, int width)
    {
        var (a, b, middle) = (Vector256<float>.Zero, Vector256<float>.Zero, Vector256.Create(mean));
        int i = 0;
        for (; i + 16 <= width; i += 16)
        {
            var (low, high) = (Avx.Subtract(Avx.LoadVector256(x + i), middle), Avx.Subtract(Avx.LoadVector256(x + i + 8), middle));
            (a, b) = (Fma.MultiplyAdd(low, low, a), Fma.MultiplyAdd(high, high, b));
        }
        float sum = Vector256.Sum(Avx.Add(a, b));
        for (; i < width; i++)
            sum += (x[i] - mean) * (x[i] - mean);
        return sum;
    }

    unsafe struct Work
    {
        public float* X, Gain, Shift, Scales;
        public float* Buffers;
        public byte* Numbers;
        public int Rows, Width, ChunkRows, Range;
        public float Epsilon;
    }
}
