using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using MedVlm.Graphs;

namespace MedVlm.Kernels;

/// <summary>
/// What a product of integers is worth: each row times a number of its own and each column times one, plus a bias and a residual if there are any.
/// x int32 [..., C], [..., 1], [C], optionally [C] and [..., C], to [..., C].
/// </summary>
internal sealed class ScaleRowsOperator() : CustomOperator(
    Name, [ElementType.Int32, ElementType.Float32, ElementType.Float32, ElementType.Float32, ElementType.Float32], [ElementType.Float32], optional: 2)
{
    public new const string Name = "ScaleRows";

    public override CustomKernel CreateKernel(nint info) => new Kernel();

    sealed class Kernel : CustomKernel
    {
        public override unsafe void Compute(KernelContext context)
        {
            var x = context.Input(0);
            if (context.OptionalInput(4) is { } residual)
                CheckResidual(residual, x);

            var work = new Work
            {
                X = x.Data<int>(), Scales = context.Input(1).Data<float>(), Columns = context.Input(2).Data<float>(), Bias = context.OptionalData<float>(3),
                Residual = context.OptionalData<float>(4), Results = context.Output<float>(0, x), Rows = x.Rows, Width = x[-1],
                ChunkRows = RowChunks.Rows(x.Rows, x[-1]),
            };
            context.ForEach(RowChunks.Count(work.Rows, work.ChunkRows), &Scale, &work);
        }
    }

    /// <exception cref="ArgumentException">It has another shape than what it is added to.</exception>
    public static void CheckResidual(in KernelTensor residual, in KernelTensor x)
    {
        if (!residual.HasShapeOf(x))
            throw new ArgumentException("A residual must have the shape of what it is added to.");
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static unsafe void Scale(void* data, nuint index)
    {
        ref var work = ref *(Work*)data;
        for (int row = (int)index * work.ChunkRows, end = Math.Min(row + work.ChunkRows, work.Rows); row < end; row++)
        {
            nint first = (nint)row * work.Width;
            Row(work.X + first, work.Scales[row], work.Columns, work.Bias, work.Residual == null ? null : work.Residual + first, work.Results + first, work.Width);
        }
    }

    /// <summary>One row.</summary>
    /// <param name="x">The row.</param>
    /// <param name="scale">What it is multiplied by.</param>
    /// <param name="columns">What each of its numbers is multiplied by.</param>
    /// <param name="bias">What is added; null for nothing.</param>
    /// <param name="residual">What else is added; null for nothing.</param>
    /// <param name="result">Receives the result.</param>
    /// <param name="width">Numbers of the row.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static unsafe void Row(int* x, float scale, float* columns, float* bias, float* residual, float* result, int width)
    {
        var factor = Vector256.Create(scale);
        int i = 0;
        for (; i + 8 <= width; i += 8)
        {
            var y = Scaled(x + i, factor, columns + i);
            if (bias != null)
                y = Avx.Add(y, Avx.LoadVector256(bias + i));
            if (residual != null)
                y = Avx.Add(y, Avx.LoadVector256(residual + i));
            y.Store(result + i);
        }
        for (; i < width; i++)
            result[i] = x[i] * (scale * columns[i]) + (bias != null ? bias[i] : 0) + (residual != null ? residual[i] : 0);
    }

    /// <summary>Eight numbers times the row's scale and their columns'.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Vector256<float> Scaled(int* x, Vector256<float> scale, float* columns) =>
        Avx.Multiply(Avx.ConvertToVector256Single(Avx.LoadVector256(x)), Avx.Multiply(Avx.LoadVector256(columns), scale));

    unsafe struct Work
    {
        public int* X;
        public float* Scales, Columns, Bias, Residual, Results;
        public int Rows, Width, ChunkRows;
    }
}
