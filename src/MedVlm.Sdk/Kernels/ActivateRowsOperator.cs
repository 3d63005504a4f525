using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using MedVlm.Graphs;

namespace MedVlm.Kernels;

/// <summary>
/// What lies between two linear layers of an MLP, in one pass: <see cref="ScaleRowsOperator"/>, y · sigmoid(alpha · y + beta · y³), the product with a
/// second input treated by <see cref="ScaleRowsOperator"/> if there is one, and <see cref="QuantiseRowsOperator"/>.
/// x [..., C], [..., 1], optionally [C], and optionally the same three again, to uint8 [..., C] and [..., 1].
/// </summary>
/// <remarks>
/// QuickGELU and SiLU are such functions of y; so is GELU's tanh approximation, with alpha 2 · sqrt(2 / π) and beta 0.044715 times that (arXiv:1606.08415).
/// </remarks>
internal sealed class ActivateRowsOperator() : CustomOperator(
    Name,
    [ElementType.Float32, ElementType.Float32, ElementType.Float32, ElementType.Float32, ElementType.Float32, ElementType.Float32],
    [ElementType.UInt8, ElementType.Float32], optional: 4)
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
                X = x.Data<float>(), Scales = context.Input(1).Data<float>(), Bias = context.OptionalData<float>(2),
                Gated = context.OptionalData<float>(3), GatedScales = context.OptionalData<float>(4), GatedBias = context.OptionalData<float>(5),
                Numbers = context.Output<byte>(0, x), Largest = context.Output<float>(1, x, last: 1),
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
            ScaleRowsOperator.Row(work.X + first, work.Scales[row], work.Bias, null, buffer, work.Width);
            Activate(buffer, work.Alpha, work.Beta, work.Width);
            if (work.Gated != null)
                Multiply(buffer, work.Gated + first, work.GatedScales[row], work.GatedBias, work.Width);
            work.Largest[row] = RowNumbers.Quantise(buffer, work.Width, work.Range, work.Numbers + first);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static unsafe void Activate(float* row, float alpha, float beta, int width)
    {
        // Powers of two in place of those of e.
        float perBit = (float)(1 / Math.Log(2));
        var (a, b) = (Vector256.Create(alpha * perBit), Vector256.Create(beta * perBit));
        int i = 0;
        for (; i + 8 <= width; i += 8)
        {
            var y = Avx.LoadVector256(row + i);
            Activated(y, a, b).Store(row + i);
        }
        for (; i < width; i++)
            row[i] = Activated(Vector256.Create(row[i]), a, b).ToScalar();
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
    static unsafe void Multiply(float* row, float* x, float scale, float* bias, int width)
    {
        var factor = Vector256.Create(scale);
        int i = 0;
        for (; i + 8 <= width; i += 8)
        {
            var y = Avx.Multiply(Avx.LoadVector256(x + i), factor);
            if (bias != null)
                y = Avx.Add(y, Avx.LoadVector256(bias + i));
            Avx.Multiply(y, Avx.LoadVector256(row + i)).Store(row + i);
        }
        for (; i < width; i++)
            row[i] *= x[i] * scale + (bias != null ? bias[i] : 0);
    }

    unsafe struct Work
    {
        public float* X, Scales, Bias, Gated, GatedScales, GatedBias, Largest;
        public float* Buffers;
        public byte* Numbers;
        public int Rows, Width, ChunkRows, Range;
        public float Alpha, Beta;
    }
}
