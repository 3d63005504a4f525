using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace MedVlm.Kernels;

/// <summary>Queries of the heads that share one head of keys and values, and where their results go.</summary>
internal unsafe struct AttentionQueries
{
    /// <summary>Queries, from the first head on.</summary>
    public HeadRows Queries;

    /// <summary>The first token in them.</summary>
    public int FirstToken;

    /// <summary>Where the first head's result of the first token goes; others follow as queries do.</summary>
    public float* Results;

    /// <summary>Heads; they lie beside each other.</summary>
    public int Group;

    /// <summary>What the products of queries and keys are multiplied by.</summary>
    public float Scale;

    /// <summary>Keys that the first token sees.</summary>
    public int FirstSees;

    /// <summary>1 if each token sees one key more than the token before, 0 if all see the same.</summary>
    public int EachSeesMore;

    /// <summary>How many of these keys, the last ones, a token sees at most.</summary>
    public int Window;

    /// <summary>The keys that a row, a head of a token, sees.</summary>
    public readonly (int First, int End) Seen(int row)
    {
        int end = FirstSees + row / Group * EachSeesMore;
        return (Math.Max(end - Window, 0), end);
    }

    /// <summary>The query of a row.</summary>
    /// <param name="row">The row.</param>
    /// <param name="buffer">[d]: memory for it, where it is to be computed.</param>
    public readonly float* Query(int row, float* buffer) => Queries.Row(FirstToken + row / Group, buffer, row % Group);

    /// <summary>Where a row's result goes.</summary>
    public readonly float* Result(int row) => Results + row / Group * Queries.Stride + row % Group * (nint)Queries.HeadSize;
}

/// <summary>
/// Scaled dot-product attention with integer products: queries, keys, attention weights and values are integers with scales of their own, the
/// softmax between is FP32. A row never needs all its scores at once: they are made, weighed and added up for 256 keys at a time, and what was
/// added before is scaled when a larger score appears (online softmax, arXiv:2112.05682; FlashAttention, arXiv:2205.14135). Integer scores
/// for the softmax follow SageAttention (arXiv:2410.02367).
/// </summary>
/// <remarks>
/// Queries take as many bits as sums of 32 bits allow, 15 beside keys of 8. A row with a number that is not finite, or that sees a key or value
/// with one, becomes NaN, as in FP32. Rows of one call do not depend on each other but for the scale of attention weights, the largest value's of the 256 keys
/// that 24 rows see together: a value that is not finite reaches all of these.
/// </remarks>
internal static unsafe class IntegerAttention
{
    /// <summary>Keys at a time.</summary>
    const int Block = 256;

    /// <summary>Rows at a time: each tile of keys and values is used for all of them while it is near.</summary>
    public const int MaxRows = 24;

    const int Lanes = 8, Padded = (MaxRows + Lanes - 1) / Lanes * Lanes;

    // Below any score, and finite, so that no difference of two is undefined.
    const float Unseen = -1e30f;

    /// <summary>Largest head; the buffers of a call are on the stack.</summary>
    public const int MaxHeadSize = 256;

    /// <summary>Refuses heads that the buffers are too small for.</summary>
    /// <exception cref="ArgumentException">The head is larger than <see cref="MaxHeadSize"/>.</exception>
    public static void CheckHeadSize(int headSize)
    {
        if (headSize > MaxHeadSize)
            throw new ArgumentException($"Heads of {headSize} numbers are larger than the {MaxHeadSize} that attention on integers takes.");
    }

    /// <summary>Whether this processor has the instructions.</summary>
    public static bool IsSupported => Avx2.IsSupported && Fma.IsSupported;

    /// <summary>Attention of some rows.</summary>
    /// <param name="queries">Queries, results, and what each row sees.</param>
    /// <param name="panels">Keys and values.</param>
    /// <param name="firstRow">The first row.</param>
    /// <param name="count">Rows.</param>
    public static void Attend<T>(in AttentionQueries queries, in HeadPanels<T> panels, int firstRow, int count) where T : struct, IPanelNumber
    {
        for (int row = firstRow, end = firstRow + count; row < end; row += MaxRows)
            AttendRows(queries, panels, row, Math.Min(MaxRows, end - row));
    }

    [SkipLocalsInit, MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AttendRows<T>(in AttentionQueries queries, in HeadPanels<T> panels, int firstRow, int rows) where T : struct, IPanelNumber
    {
        int headSize = queries.Queries.HeadSize, width = HeadPanels<T>.Width(headSize);
        int queryRange = Math.Min(short.MaxValue, int.MaxValue / (T.KeyRange * width));

        // A hundredth less than sums of 32 bits hold: rounding may lift a weight above one.
        int weightRange = Math.Min(short.MaxValue, int.MaxValue / (T.ValueRange * Block) * 99 / 100);

        short* q = stackalloc short[MaxRows * MaxHeadSize];
        int* scores = stackalloc int[MaxRows * Block];
        int* sums = stackalloc int[MaxRows * MaxHeadSize];
        float* results = stackalloc float[MaxRows * MaxHeadSize];
        float* keyScales = stackalloc float[Block];
        float* valueScales = stackalloc float[Block];
        float* queryScales = stackalloc float[MaxRows];
        float* most = stackalloc float[Padded];
        float* largest = stackalloc float[Padded];
        float* total = stackalloc float[Padded];
        float* rescale = stackalloc float[Padded];
        int* firsts = stackalloc int[MaxRows];
        int* ends = stackalloc int[MaxRows];

        var (first, end) = (int.MaxValue, 0);
        for (int row = 0; row < rows; row++)
        {
            // Powers of two are computed in place of those of e.
            queryScales[row] = RowNumbers.Quantise(queries.Query(firstRow + row, results), headSize, queryRange, q + row * width, width)
                             * queries.Scale * (float)(1 / Math.Log(2));
            (firsts[row], ends[row]) = queries.Seen(firstRow + row);
            (first, end) = (Math.Min(first, firsts[row]), Math.Max(end, ends[row]));
        }
        new Span<float>(results, rows * width).Clear();
        new Span<float>(largest, Padded).Fill(Unseen);
        new Span<float>(most, Padded).Fill(Unseen);
        new Span<float>(total, Padded).Clear();

        for (int start = first / HeadPanels<T>.Tokens * HeadPanels<T>.Tokens; start < end; start += Block)
        {
            // Beyond the last key lies whatever was there before.
            int keys = Math.Min(Block, end - start), padded = (keys + HeadPanels<T>.Tokens - 1) / HeadPanels<T>.Tokens * HeadPanels<T>.Tokens;
            IntegerProduct.Multiply<T>(
                rows, padded, q, width, panels.Keys(start), panels.NextKeys, HeadPanels<T>.KeyStride, width / 2, scores, Block);

            CopyScales(panels.KeyScales + start, keyScales, keys, padded);
            CopyScales(panels.ValueScales + start, valueScales, keys, padded);
            float valueScale = RowNumbers.Largest(valueScales, keys);
            float perValue = valueScale > 0 ? weightRange / valueScale : 0;
            for (int i = 0; i < padded; i += Lanes)
                Avx.Multiply(Avx.LoadVector256(valueScales + i), Vector256.Create(perValue)).Store(valueScales + i);

            for (int row = 0; row < rows; row++)
                most[row] = Score(scores + row * Block, padded, firsts[row] - start, ends[row] - start, keyScales) * queryScales[row];

            // All rows at once; a row that sees none of these keys keeps what it has.
            for (int row = 0; row < Padded; row += Lanes)
            {
                var before = Avx.LoadVector256(largest + row);
                var after = Avx.Max(before, Avx.LoadVector256(most + row));
                after.Store(largest + row);

                // Exactly one where nothing has changed: a power that is a ten-thousandth off would add up over the blocks.
                Avx.BlendVariable(Exp2.OfNegative(Avx.Subtract(before, after)), Vector256<float>.One, Avx.CompareEqual(before, after)).Store(rescale + row);
            }

            // The scores are not needed any more: weights, half as wide, take their place.
            for (int row = 0; row < rows; row++)
                total[row] = total[row] * rescale[row] + Weigh(
                    (float*)scores + row * Block, (short*)(scores + row * Block), padded, firsts[row] - start, ends[row] - start, valueScales,
                    queryScales[row], largest[row]);
            IntegerProduct.Multiply<T>(
                rows, width, (short*)scores, 2 * Block, panels.Values(start), HeadPanels<T>.NextValues, panels.ValueStride, padded / 2, sums, width);

            var unit = Vector256.Create(valueScale / weightRange);
            for (int row = 0; row < rows; row++)
            {
                var old = Vector256.Create(rescale[row]);
                for (int i = row * width; i < (row + 1) * width; i += Lanes)
                    Fma.MultiplyAdd(Avx.ConvertToVector256Single(Avx.LoadVector256(sums + i)), unit, Avx.Multiply(Avx.LoadVector256(results + i), old))
                       .Store(results + i);
            }
        }

        for (int row = 0; row < rows; row++)
        {
            float* result = queries.Result(firstRow + row);
            var factor = Vector256.Create(1 / total[row]);
            int i = 0;
            for (; i + Lanes <= headSize; i += Lanes)
                Avx.Multiply(Avx.LoadVector256(results + row * width + i), factor).Store(result + i);
            for (; i < headSize; i++)
                result[i] = results[row * width + i] * factor.ToScalar();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void CopyScales(float* from, float* to, int count, int padded)
    {
        new Span<float>(from, count).CopyTo(new Span<float>(to, count));
        new Span<float>(to + count, padded - count).Clear();
    }

    /// <summary>Integer products of a query and keys to scores, but for the query's own scale.</summary>
    /// <param name="sums">The products; the scores take their place, minus infinity where the row does not see the key.</param>
    /// <param name="count">Keys, a multiple of 16.</param>
    /// <param name="first">The first key that the row sees; may be negative.</param>
    /// <param name="end">The key after the last one; may be beyond the count.</param>
    /// <param name="keyScales">What a product is worth, for each key.</param>
    /// <returns>The largest.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static float Score(int* sums, int count, int first, int end, float* keyScales)
    {
        var most = Vector256.Create(Unseen);
        for (int i = 0; i < count; i += Lanes)
        {
            var score = Avx.Multiply(Avx.ConvertToVector256Single(Avx.LoadVector256(sums + i)), Avx.LoadVector256(keyScales + i));
            if (i < first || i + Lanes > end)
                score = Avx.BlendVariable(Vector256.Create(Unseen), score, Seen(i, first, end));
            score.Store((float*)sums + i);
            most = Avx.Max(most, score);
        }

        var half = Sse.Max(most.GetLower(), most.GetUpper());
        half = Sse.Max(half, Sse.MoveHighToLow(half, half));
        return Sse.MaxScalar(half, Sse.Shuffle(half, half, 1)).ToScalar();
    }

    /// <summary>Scores of a row to attention weights.</summary>
    /// <param name="scores">Scores.</param>
    /// <param name="weights">Receives the weights times the values' scales, as integers; may begin where the scores do.</param>
    /// <param name="count">Keys, a multiple of 16.</param>
    /// <param name="first">The first key that the row sees; may be negative.</param>
    /// <param name="end">The key after the last one; may be beyond the count.</param>
    /// <param name="valueScales">What a weight is multiplied by before it is rounded.</param>
    /// <param name="scale">What a score is worth.</param>
    /// <param name="largest">The largest score.</param>
    /// <returns>Sum of the weights.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static float Weigh(float* scores, short* weights, int count, int first, int end, float* valueScales, float scale, float largest)
    {
        if (Avx512DQ.IsSupported)
            return WeighAvx512(scores, weights, count, first, end, valueScales, scale, largest);

        // Not by fused multiply-adds: the largest score is a rounded product, and nothing may be left of it.
        var (factor, most, sum) = (Vector256.Create(scale), Vector256.Create(largest), Vector256<float>.Zero);
        for (int i = 0; i < count; i += 2 * Lanes)
        {
            var low = Exp2.OfNegative(Avx.Subtract(Avx.Multiply(Avx.LoadVector256(scores + i), factor), most));
            var high = Exp2.OfNegative(Avx.Subtract(Avx.Multiply(Avx.LoadVector256(scores + i + Lanes), factor), most));
            if (i < first || i + 2 * Lanes > end)
                (low, high) = (Avx.And(low, Seen(i, first, end)), Avx.And(high, Seen(i + Lanes, first, end)));
            sum = Avx.Add(sum, Avx.Add(low, high));
            low = Avx.Multiply(low, Avx.LoadVector256(valueScales + i));
            high = Avx.Multiply(high, Avx.LoadVector256(valueScales + i + Lanes));
            var packed = Avx2.PackSignedSaturate(Avx.ConvertToVector256Int32(low), Avx.ConvertToVector256Int32(high));
            Avx2.Permute4x64(packed.AsInt64(), 0b11_01_10_00).AsInt16().Store(weights + i);     // packing works on halves
        }
        return Vector256.Sum(sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static float WeighAvx512(float* scores, short* weights, int count, int first, int end, float* valueScales, float scale, float largest)
    {
        var (factor, most, sum) = (Vector512.Create(scale), Vector512.Create(largest), Vector512<float>.Zero);
        for (int i = 0; i < count; i += 2 * Lanes)
        {
            var weight = Exp2.Of(Vector512.Load(scores + i) * factor - most);
            if (i < first || i + 2 * Lanes > end)
                weight &= Vector512.Create(Seen(i, first, end), Seen(i + Lanes, first, end));
            sum += weight;
            Avx512F.ConvertToVector256Int16WithSaturation(Avx512F.ConvertToVector512Int32(weight * Vector512.Load(valueScales + i))).Store(weights + i);
        }
        return Vector512.Sum(sum);
    }

    /// <summary>All bits set for the keys i to i + 7 that lie between first and end.</summary>
    static Vector256<float> Seen(int i, int first, int end)
    {
        var key = Vector256.Create(i) + Vector256<int>.Indices;
        return (Vector256.GreaterThanOrEqual(key, Vector256.Create(first)) & Vector256.LessThan(key, Vector256.Create(end))).AsSingle();
    }
}
