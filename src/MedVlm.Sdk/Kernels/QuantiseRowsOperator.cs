using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MedVlm.Graphs;

namespace MedVlm.Kernels;

/// <summary>
/// Each row as uint8 around a middle, its largest magnitude as far from it as the range says, and what the distances are to be multiplied by:
/// [..., C] to uint8 [..., C] and [..., 1].
/// </summary>
internal sealed class QuantiseRowsOperator() : CustomOperator(Name, [ElementType.Float32], [ElementType.UInt8, ElementType.Float32])
{
    public new const string Name = "QuantiseRows";

    public override CustomKernel CreateKernel(nint info) => new Kernel(OrtApi.IntAttribute(info, "range"u8));

    sealed class Kernel(int range) : CustomKernel
    {
        public override unsafe void Compute(KernelContext context)
        {
            var x = context.Input(0);
            var work = new Work
            {
                X = x.Data<float>(), Numbers = context.Output<byte>(0, x), Scales = context.Output<float>(1, x, last: 1), Rows = x.Rows, Width = x[-1],
                Range = range, ChunkRows = RowChunks.Rows(x.Rows, x[-1]),
            };
            context.ForEach(RowChunks.Count(work.Rows, work.ChunkRows), &Quantise, &work);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static unsafe void Quantise(void* data, nuint index)
    {
        ref var work = ref *(Work*)data;
        for (int row = (int)index * work.ChunkRows, end = Math.Min(row + work.ChunkRows, work.Rows); row < end; row++)
        {
            nint first = (nint)row * work.Width;
            work.Scales[row] = RowNumbers.Quantise(work.X + first, work.Width, work.Range, work.Numbers + first);
        }
    }

    unsafe struct Work
    {
        public float* X, Scales;
        public byte* Numbers;
        public int Rows, Width, Range, ChunkRows;
    }
}
