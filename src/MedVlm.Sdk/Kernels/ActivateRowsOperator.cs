using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using MedVlm.Graphs;

namespace MedVlm.Kernels;

/// <summary>
/// What lies between two linear layers of an MLP, in one pass: <see cref="ScaleRowsOperator"/>, y · sigmoid(alpha · y + beta · y³), the product with a
/// second input treated by <see cref="ScaleRowsOperator"/> if there is one, and <see cref="QuantiseRowsOperator"/>.
/// x int32 [..., C], [..., 1], [C], optionally [C], and optionally the same four again, to uint8 [..., C] and [..., 1].
/// </summary>
/// <remarks>
/// QuickGELU and SiLU are such functions of y; so is GELU's tanh approximation, with alpha 2 · sqrt(2 / π) and beta 0.044715 times that (arXiv:1606.08415).
/// </remarks>
internal sealed class ActivateRowsOperator() : CustomOperator(
    Name,
    [
        ElementType.Int32, ElementType.Float32, ElementType.Float32, ElementType.Float32,
        ElementType.Int32, ElementType.Float32, ElementType.Float32, ElementType.Float32,
    ],
    [ElementType.UInt8, ElementType.Float32], optional: 5)
{
    public new const string Name = "ActivateRows";

    /// <summary>Alpha and beta of GELU's tanh approximation.</summary>
    public const float GeluAlpha = 1.5957691216f, GeluBeta = GeluAlpha * 0.044715f;

    public override CustomKernel CreateKernel(nint info) =>
        new Kernel(OrtApi.FloatAttribute(info, "alpha"u8), OrtApi.FloatAttribute(info, "beta"u8), OrtApi.IntAttribute(info, "range"u8));

    sealed class Kernel(float alpha, float beta, int range) : CustomKernel
    {
        public override unsafe void Compute(KernelContext context)
        {
            var x = context.Input(0);
            using var rows = RowChunks.Scratch(context, x.Rows, x[-1]);
            var work = new Work
            {
                X = x.Data<int>(), Scales = context.Input(1).Data<float>(), Columns = context.Input(2).Data<float>(), Bias = context.OptionalData<float>(3),
                Gated = context.OptionalData<int>(4), GatedScales = context.OptionalData<float>(5), GatedColumns = context.OptionalData<float>(6),
                GatedBias = context.OptionalData<float>(7),
                Numbers = context.Output<byte>(0, x), NumberScales = context.Output<float>(1, x, last: 1),
                Rows = x.Rows, Width = x[-1], ChunkRows = RowChunks.Rows(x.Rows, x[-1]), Buffers = (float*)rows.Data, Range = range, Alpha = alpha, Beta = beta,
            };
            context.ForEach(RowChunks.Count(work.Rows, work.ChunkRows), &Activate, &work);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    [SkipLocalsInit]
    static unsafe void Activate(void* data, nuint index)
    {
        ref var work = ref *(Work*)data;
        float* local = stackalloc float[work.Buffers == null ? work.Width : 0];
        float* buffer = work.Buffers == null ? local : work.Buffers + (nint)index * work.Width;
        for (int row = (int)index * work.ChunkRows, end = Math.Min(row + work.ChunkRows, work.Rows); row < end; row++)
        {
            nint first = (nint)row * work.Width;
            Activate(work.X + first, work.Scales[row], work.Columns, work.Bias, work.Alpha, work.Beta, buffer, work.Width);
            if (work.Gated != null)
                Multiply(buffer, work.Gated + first, work.GatedScales[row], work.GatedColumns, work.GatedBias, work.Width);
            work.NumberScales[row] = RowNumbers.Quantise(buffer, work.Width, work.Range, work.Numbers + first);
        }
    }

    /// <summary>Scale, bias and activation of a row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static unsafe void Activate(int* x, float scale, float* columns, float* bias, float alpha, float beta, float* result, int width)
    {
        // Powers of two in place of those of e.
        float perBit = (float)(1 / Math.Log(2));
        var (factor, a, b) = (Vector256.Create(scale), Vector256.Create(alpha * perBit), Vector256.Create(beta * perBit));
        int i = 0;
        if (Avx512DQ.IsSupported)
            i = ActivateAvx512(x, scale, columns, bias, alpha * perBit, beta * perBit, result, width);
        for (; i + 8 <= width; i += 8)
        {
            var y = ScaleRowsOperator.Scaled(x + i, factor, columns + i);
            if (bias != null)
                y = Avx.Add(y, Avx.LoadVector256(bias + i));
            Activated(y, a, b).Store(result + i);
        }
        for (; i < width; i++)
            result[i] = Activated(Vector256.Create(x[i] * (scale * columns[i]) + (bias != null ? bias[i] : 0)), a, b).ToScalar();
    }

    /// <returns>How many numbers it took, sixteen at a time.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static unsafe int ActivateAvx512(int* x, float scale, float* columns, float* bias, float alpha, float beta, float* result, int width)
    {
        var (factor, a, b) = (Vector512.Create(scale), Vector512.Create(-alpha), Vector512.Create(-beta));
        int i = 0;
        for (; i + 16 <= width; i += 16)
        {
            var y = Avx512F.ConvertToVector512Single(Vector512.Load(x + i)) * (Vector512.Load(columns + i) * factor);
            if (bias != null)
                y += Vector512.Load(bias + i);

            // A power that is infinite makes the sigmoid zero, as it should be.
            var power = Exp2.Of(Avx512F.FusedMultiplyAdd(y * y, b, a) * y);
            (y / (power + Vector512<float>.One)).Store(result + i);
        }
        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Activated(Vector256<float> y, Vector256<float> a, Vector256<float> b)
    {
        // The sigmoid of t is 1 / (1 + 2^-t), or, where that power would be large, 2^t / (1 + 2^t).
        var t = Avx.Multiply(Fma.MultiplyAdd(Avx.Multiply(y, y), b, a), y);
        var power = Exp2.OfNegative(Avx.Or(t, Vector256.Create(-0f)));
        var dividend = Avx.BlendVariable(Vector256<float>.One, power, t);
        return Avx.Multiply(y, Avx.Divide(dividend, Avx.Add(power, Vector256<float>.One)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static unsafe void Multiply(float* row, int* x, float scale, float* columns, float* bias, int width)
    {
        var factor = Vector256.Create(scale);
        int i = 0;
        for (; i + 8 <= width; i += 8)
        {
            var y = ScaleRowsOperator.Scaled(x + i, factor, columns + i);
            if (bias != null)
                y = Avx.Add(y, Avx.LoadVector256(bias + i));
            Avx.Multiply(y, Avx.LoadVector256(row + i)).Store(row + i);
        }
        for (; i < width; i++)
            row[i] *= x[i] * (scale * columns[i]) + (bias != null ? bias[i] : 0);
    }

    unsafe struct Work
    {
        public int* X, Gated;
        public float* Scales, Columns, Bias, GatedScales, GatedColumns, GatedBias, NumberScales;
        public float* Buffers;
        public byte* Numbers;
        public int Rows, Width, ChunkRows, Range;
        public float Alpha, Beta;
    }
}
