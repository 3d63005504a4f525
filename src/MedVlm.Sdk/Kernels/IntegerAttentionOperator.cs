using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MedVlm.Graphs;

namespace MedVlm.Kernels;

/// <summary>
/// Attention in which every position sees every other of its row, on integers of 11 and more bits: q, k, v [B, P, H·d] and optionally how many
/// positions of each row are there, int32 [B], to [B, P, H·d]. Scaled, it takes what products of integers made: q, k, v int32, for each of them scales of
/// rows [B, P, 1] and columns [H·d], and optionally that number and three biases [H·d] (<see cref="ScaleRowsOperator"/>).
/// </summary>
internal sealed class IntegerAttentionOperator(bool scaled) : CustomOperator(
    scaled ? ScaledName : Name,
    scaled
        ? [
            ElementType.Int32, ElementType.Int32, ElementType.Int32,
            ElementType.Float32, ElementType.Float32, ElementType.Float32, ElementType.Float32, ElementType.Float32, ElementType.Float32,
            ElementType.Int32, ElementType.Float32, ElementType.Float32, ElementType.Float32,
        ]
        : [ElementType.Float32, ElementType.Float32, ElementType.Float32, ElementType.Int32],
    [ElementType.Float32], optional: scaled ? 4 : 1)
{
    public new const string Name = "IntegerAttention";

    public const string ScaledName = "ScaledIntegerAttention";

    public override CustomKernel CreateKernel(nint info) => new Kernel(OrtApi.IntAttribute(info, "num_heads"u8), scaled);

    sealed class Kernel(int heads, bool scaled) : CustomKernel
    {
        public override unsafe void Compute(KernelContext context)
        {
            var (q, k, v) = (context.Input(0), context.Input(1), context.Input(2));
            int batch = q[0], positions = q[1], keys = k[1], width = q[2], headSize = width / heads;
            float* results = context.Output<float>(0, q);

            IntegerAttention.CheckHeadSize(headSize);
            int* lengths = context.OptionalData<int>(scaled ? 9 : 3);
            for (int row = 0; lengths != null && row < batch; row++)
                if (lengths[row] < 1 || lengths[row] > keys)
                    throw new ArgumentException($"A row of {keys} positions cannot have {lengths[row]} that are there.");

            int room = (keys + HeadPanels<Panel16>.Tokens - 1) / HeadPanels<Panel16>.Tokens * HeadPanels<Panel16>.Tokens;
            long panel = HeadPanels<Panel16>.Bytes(headSize, room);

            // Not cleared: attention reads no further than the keys that are there.
            using var panels = context.Scratch(checked((nuint)(2 * panel * batch * heads)));
            var work = new Work
            {
                Q = scaled ? HeadRows.Of(context, 0, scales: 3, bias: 10) : HeadRows.Of(context, 0),
                K = scaled ? HeadRows.Of(context, 1, scales: 5, bias: 11) : HeadRows.Of(context, 1),
                V = scaled ? HeadRows.Of(context, 2, scales: 7, bias: 12) : HeadRows.Of(context, 2),
                Results = results, Lengths = lengths, Panels = panels.Data, PanelBytes = (nint)panel, Heads = heads, HeadSize = headSize, Positions = positions, Keys = keys,
                Room = room,
            };
            context.ForEach(batch * heads, &Pack, &work);
            context.ForEach(batch * heads * work.Chunks, &Attend, &work);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static unsafe void Pack(void* data, nuint index)
    {
        ref var work = ref *(Work*)data;
        var (row, head) = Math.DivRem((int)index, work.Heads);
        var panels = work.Of((int)index);
        var (keys, values) = (work.K.Of(head, work.Heads, work.HeadSize), work.V.Of(head, work.Heads, work.HeadSize));
        panels.Set(0, work.Seen(row), keys, values, row * work.Keys);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static unsafe void Attend(void* data, nuint index)
    {
        ref var work = ref *(Work*)data;
        var (problem, chunk) = Math.DivRem((int)index, work.Chunks);
        var (row, head) = Math.DivRem(problem, work.Heads);
        nint stride = (nint)work.Heads * work.HeadSize;
        var queries = new AttentionQueries
        {
            Queries = work.Q.Of(head, work.Heads, work.HeadSize), FirstToken = row * work.Positions,
            Results = work.Results + row * work.Positions * stride + head * (nint)work.HeadSize, Group = 1,
            Scale = 1 / MathF.Sqrt(work.HeadSize), FirstSees = work.Seen(row), Window = int.MaxValue,
        };
        int from = chunk * Work.ChunkRows;
        IntegerAttention.Attend(queries, work.Of(problem), from, Math.Min(Work.ChunkRows, work.Positions - from));
    }

    unsafe struct Work
    {
        /// <summary>Queries of one call: enough that a thread's start does not matter, few enough that all threads end together.</summary>
        public const int ChunkRows = 4 * IntegerAttention.MaxRows;

        public HeadRows Q, K, V;
        public float* Results;
        public int* Lengths;
        public byte* Panels;
        public nint PanelBytes;
        public int Heads, HeadSize, Positions, Keys, Room;

        public readonly int Chunks => (Positions + ChunkRows - 1) / ChunkRows;

        public readonly int Seen(int row) => Lengths == null ? Keys : Lengths[row];

        public readonly HeadPanels<Panel16> Of(int problem)
        {
            byte* keys = Panels + 2 * problem * PanelBytes;
            return new HeadPanels<Panel16>(HeadSize, Room, keys, keys + PanelBytes);
        }
    }
}
