using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MedVlm.Graphs;

namespace MedVlm.Kernels;

/// <summary>
/// What lies between two blocks of a transformer, in one pass: <see cref="ScaleRowsOperator"/> with a residual, and <see cref="NormaliseRowsOperator"/>.
/// x int32 [..., C], [..., 1], [C], residual [..., C], gain [C], optionally bias [C] and, for LayerNorm, shift [C], to the sum [..., C], uint8 [..., C]
/// and [..., 1].
/// </summary>
internal sealed class NormaliseSumsOperator() : CustomOperator(
    Name,
    [
        ElementType.Int32, ElementType.Float32, ElementType.Float32, ElementType.Float32, ElementType.Float32, ElementType.Float32, ElementType.Float32,
    ],
    [ElementType.Float32, ElementType.UInt8, ElementType.Float32], optional: 2)
{
    public new const string Name = "NormaliseSums";

    public override CustomKernel CreateKernel(nint info) => new Kernel(OrtApi.FloatAttribute(info, "epsilon"u8), OrtApi.IntAttribute(info, "range"u8));

    sealed class Kernel(float epsilon, int range) : CustomKernel
    {
        public override unsafe void Compute(KernelContext context)
        {
            var (x, residual) = (context.Input(0), context.Input(3));
            ScaleRowsOperator.CheckResidual(residual, x);
            using var rows = RowChunks.Scratch(context, x.Rows, x[-1]);
            var work = new Work
            {
                X = x.Data<int>(), Scales = context.Input(1).Data<float>(), Columns = context.Input(2).Data<float>(), Residual = residual.Data<float>(),
                Gain = context.Input(4).Data<float>(), Bias = context.OptionalData<float>(5), Shift = context.OptionalData<float>(6),
                Sums = context.Output<float>(0, x), Numbers = context.Output<byte>(1, x), NumberScales = context.Output<float>(2, x, last: 1),
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
            ScaleRowsOperator.Row(work.X + first, work.Scales[row], work.Columns, work.Bias, work.Residual + first, work.Sums + first, work.Width);
            NormaliseRowsOperator.Row(work.Sums + first, work.Gain, work.Shift, work.Epsilon, buffer, work.Width);
            work.NumberScales[row] = RowNumbers.Quantise(buffer, work.Width, work.Range, work.Numbers + first);
        }
    }

    unsafe struct Work
    {
        public int* X;
        public float* Scales, Columns, Residual, Gain, Bias, Shift, Sums, NumberScales;
        public float* Buffers;
        public byte* Numbers;
        public int Rows, Width, ChunkRows, Range;
        public float Epsilon;
    }
}
