using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MedVlm.Graphs;

namespace MedVlm.Kernels;

/// <summary>
/// Grouped-query attention over a KV cache of 8 bits: as GroupQueryAttention of ONNX Runtime, but that keys and values are quantised as they go into
/// the cache, a scale for each token and head, and stay so. q [B, T, H·d], k and v [B, T, K·d], the cache's keys and values
/// uint8 [B, K, S, bytes of a token] each (<see cref="HeadPanels{T}"/>), the index of each row's last token int32 [B], to [B, T, H·d] and the cache,
/// which must be bound to the memory that it came from.
/// </summary>
internal sealed class IntegerGroupQueryAttentionOperator() : CustomOperator(
    Name,
    [ElementType.Float32, ElementType.Float32, ElementType.Float32, ElementType.UInt8, ElementType.UInt8, ElementType.Int32],
    [ElementType.Float32, ElementType.UInt8, ElementType.UInt8])
{
    public new const string Name = "IntegerGroupQueryAttention";

    public override CustomKernel CreateKernel(nint info) => new Kernel(
        OrtApi.IntAttribute(info, "num_heads"u8), OrtApi.IntAttribute(info, "kv_num_heads"u8), OrtApi.FloatAttribute(info, "scale"u8),
        OrtApi.IntAttribute(info, "local_window_size"u8) is > 0 and var window ? window : int.MaxValue);

    sealed class Kernel(int heads, int keyValueHeads, float scale, int window) : CustomKernel
    {
        public override unsafe void Compute(KernelContext context)
        {
            var (q, keys, values) = (context.Input(0), context.Input(3), context.Input(4));
            int headSize = q[2] / heads, room = keys[2];
            IntegerAttention.CheckHeadSize(headSize);
            if (room % HeadPanels<Panel8>.Tokens != 0 || keys[3] != HeadPanels<Panel8>.RowBytes(headSize))
                throw new ArgumentException($"A KV cache of {room} tokens of {keys[3]} bytes does not fit heads of {headSize} numbers.");

            var work = new Work
            {
                Q = HeadRows.Of(context, 0), K = HeadRows.Of(context, 1), V = HeadRows.Of(context, 2), Last = context.Input(5).Data<int>(),
                Results = context.Output<float>(0, q), Keys = context.Output<byte>(1, keys), Values = context.Output<byte>(2, values),
                Heads = heads, KeyValueHeads = keyValueHeads, HeadSize = headSize, Tokens = q[1], Room = room, Scale = scale, Window = window,
            };
            if (work.Keys != keys.Data<byte>() || work.Values != values.Data<byte>())
                throw new ArgumentException("The KV cache is not bound to the memory that it came from.");
            for (int row = 0; row < q[0]; row++)
                if (work.Last[row] - work.Tokens + 1 < 0 || work.Last[row] >= room)
                    throw new ArgumentException($"A KV cache of {room} tokens has no place for token {work.Last[row]}.");

            int problems = q[0] * keyValueHeads;
            context.ForEach(problems, &Append, &work);
            context.ForEach(problems * work.Chunks, &Attend, &work);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static unsafe void Append(void* data, nuint index)
    {
        ref var work = ref *(Work*)data;
        var (row, head) = Math.DivRem((int)index, work.KeyValueHeads);
        var panels = work.Of((int)index);
        var (keys, values) = (work.K.Of(head, work.KeyValueHeads, work.HeadSize), work.V.Of(head, work.KeyValueHeads, work.HeadSize));
        panels.Set(work.Past(row), work.Tokens, keys, values, row * work.Tokens);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static unsafe void Attend(void* data, nuint index)
    {
        ref var work = ref *(Work*)data;
        var (problem, chunk) = Math.DivRem((int)index, work.Chunks);
        var (row, head) = Math.DivRem(problem, work.KeyValueHeads);
        nint stride = (nint)work.Heads * work.HeadSize;
        var queries = new AttentionQueries
        {
            Queries = work.Q.Of(head * work.Group, work.Heads, work.HeadSize), FirstToken = row * work.Tokens,
            Results = work.Results + row * work.Tokens * stride + head * (nint)work.Group * work.HeadSize, Group = work.Group,
            Scale = work.Scale, FirstSees = work.Past(row) + 1, EachSeesMore = 1, Window = work.Window,
        };
        int from = chunk * Work.ChunkRows;
        IntegerAttention.Attend(queries, work.Of(problem), from, Math.Min(Work.ChunkRows, work.Tokens * work.Group - from));
    }

    unsafe struct Work
    {
        public const int ChunkRows = 4 * IntegerAttention.MaxRows;

        public HeadRows Q, K, V;
        public float* Results;
        public byte* Keys, Values;
        public int* Last;
        public int Heads, KeyValueHeads, HeadSize, Tokens, Room, Window;
        public float Scale;

        public readonly int Group => Heads / KeyValueHeads;

        public readonly int Chunks => (Tokens * Group + ChunkRows - 1) / ChunkRows;

        public readonly int Past(int row) => Last[row] - Tokens + 1;

        public readonly HeadPanels<Panel8> Of(int problem)
        {
            nint offset = problem * (nint)HeadPanels<Panel8>.Bytes(HeadSize, Room);
            return new HeadPanels<Panel8>(HeadSize, Room, Keys + offset, Values + offset);
        }
    }
}
