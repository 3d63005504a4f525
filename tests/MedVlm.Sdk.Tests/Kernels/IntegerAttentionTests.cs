using MedVlm.Inference;
using MedVlm.Kernels;

namespace MedVlm.Tests.Kernels;

/// <summary>Attention on integers against the formula in double.</summary>
public sealed unsafe class IntegerAttentionTests
{
    /// <summary>A head: how many tokens, how they see each other.</summary>
    public sealed record Head(int Queries, int Keys, int Size, int Group = 1, int FirstSees = 0, int EachSeesMore = 0, int Window = int.MaxValue)
    {
        public (int First, int End) Seen(int token)
        {
            int end = FirstSees + token * EachSeesMore;
            return (Math.Max(end - Window, 0), end);
        }
    }

    public static TheoryData<Head> Heads => new(
        new Head(1, 1, 8, FirstSees: 1),
        new Head(5, 16, 16, FirstSees: 16),
        new Head(25, 37, 64, FirstSees: 37),
        new Head(100, 300, 64, FirstSees: 300),
        new Head(13, 129, 72, FirstSees: 129),
        new Head(30, 257, 80, FirstSees: 200),
        new Head(7, 140, 96, FirstSees: 140),
        new Head(3, 1000, 128, FirstSees: 1000),
        new Head(4, 20, 256, FirstSees: 20),
        new Head(40, 40, 32, Group: 3, FirstSees: 1, EachSeesMore: 1),
        new Head(1, 700, 64, Group: 3, FirstSees: 700, EachSeesMore: 1),
        new Head(1, 513, 128, Group: 7, FirstSees: 513, EachSeesMore: 1),
        new Head(50, 350, 64, Group: 2, FirstSees: 301, EachSeesMore: 1),
        new Head(200, 200, 64, FirstSees: 1, EachSeesMore: 1, Window: 20),
        new Head(150, 450, 16, Group: 4, FirstSees: 301, EachSeesMore: 1, Window: 130));

    [Theory, MemberData(nameof(Heads))]
    public void Sixteen_bits_are_near_the_formula(Head head) => Near<Panel16>(head, 3e-3);

    [Theory, MemberData(nameof(Heads))]
    public void Eight_bits_are_as_near_as_eight_bits_can_be(Head head) => Near<Panel8>(head, 4e-2);

    static void Near<T>(Head head, double tolerance) where T : struct, IPanelNumber
    {
        Processor.Needed();
        var (q, k, v) = Numbers(head);
        var (expected, actual) = (Formula(head, q, k, v), Attend<T>(head, q, k, v));

        double error = 0, size = 0;
        for (int i = 0; i < expected.Length; i++)
            (error, size) = (error + Math.Pow(actual[i] - expected[i], 2), size + Math.Pow(expected[i], 2));
        Assert.True(Math.Sqrt(error / size) < tolerance, $"relative error {Math.Sqrt(error / size):e2}");
    }

    [Fact]
    public void A_row_is_the_same_whatever_rows_are_beside_it()
    {
        Processor.Needed();
        var head = new Head(60, 300, 64, FirstSees: 300);
        var (q, k, v) = Numbers(head);
        var together = Attend<Panel8>(head, q, k, v);
        for (int row = 0; row < head.Queries; row++)
            Assert.Equal(Attend<Panel8>(head with { Queries = 1 }, q[(row * 64)..((row + 1) * 64)], k, v), together[(row * 64)..((row + 1) * 64)]);
    }

    [Theory]
    [InlineData(float.NaN), InlineData(float.PositiveInfinity), InlineData(float.NegativeInfinity)]
    public void What_is_not_finite_reaches_every_row_that_sees_it(float number)
    {
        Processor.Needed();
        var head = new Head(300, 300, 32, FirstSees: 1, EachSeesMore: 1);
        foreach (int place in (int[])[0, 10, 24, 290])
        {
            var (q, k, v) = Numbers(head);
            k[place * 32 + 5] = number;
            Spoilt(Attend<Panel16>(head, q, k, v), row => row >= place);

            // Rows that are computed together share the scale of the values.
            (q, k, v) = Numbers(head);
            v[place * 32 + 31] = number;
            Spoilt(Attend<Panel16>(head, q, k, v), row => row >= place / IntegerAttention.MaxRows * IntegerAttention.MaxRows);

            (q, k, v) = Numbers(head);
            q[place * 32 + 7] = number;
            Spoilt(Attend<Panel16>(head, q, k, v), row => row == place);
        }

        static void Spoilt(float[] results, Func<int, bool> expected)
        {
            for (int row = 0; row < 300; row++)
                Assert.True(expected(row) == results[(row * 32)..((row + 1) * 32)].All(float.IsNaN), $"row {row}");
        }
    }

    [Fact]
    public void Keys_of_long_ago_weigh_what_they_did()
    {
        // Equal scores: half of the values are 1, the other half -1. What each of the blocks loses adds up.
        Processor.Needed();
        const int Keys = 32_768;
        var head = new Head(13, Keys, 16, FirstSees: Keys);
        var v = Enumerable.Range(0, Keys * 16).Select(i => i < Keys * 8 ? 1f : -1f).ToArray();

        var results = Attend<Panel16>(head, new float[13 * 16], Numbers(head).K, v);

        Assert.All(results, number => Assert.Equal(0, number, 2e-4));
    }

    [Fact]
    public void Larger_heads_are_refused_by_the_kernels_and_not_given_to_them()
    {
        Assert.Throws<ArgumentException>(() => IntegerAttention.CheckHeadSize(257));
        Assert.False(ModelGraphs.Formats(Precision.Int8, DeviceKind.Cpu, headSize: 257, integerKernels: true).Decoder.IntegerKernels);
        Assert.True(ModelGraphs.Formats(Precision.Int8, DeviceKind.Cpu, headSize: 256, integerKernels: true).Decoder.IntegerKernels);
        Assert.False(ModelGraphs.Formats(Precision.Int8, DeviceKind.Cuda, headSize: 64, integerKernels: true).Decoder.IntegerKernels);
    }

    [Fact]
    public void Zeros_and_tiny_and_huge_numbers_stay_finite()
    {
        Processor.Needed();
        var head = new Head(30, 40, 32, FirstSees: 40);
        foreach (float size in (float[])[0, float.Epsilon, 1e-38f, 1e-20f, 1e15f])
        {
            var (q, k, v) = Numbers(head);
            foreach (ref float number in k.AsSpan())
                number *= size;
            foreach (ref float number in v.AsSpan(0, v.Length / 2))
                number *= size;
            Assert.All(Attend<Panel16>(head, q, k, v), number => Assert.True(float.IsFinite(number)));
        }
    }

    static (float[] Q, float[] K, float[] V) Numbers(Head head)
    {
        var random = new Random(head.Queries * 31 + head.Keys * 7 + head.Size);
        return (Make(head.Queries * head.Group, 1.5), Make(head.Keys, 1.5), Make(head.Keys, 1));

        float[] Make(int rows, double size) =>
            [.. Enumerable.Range(0, rows * head.Size).Select(_ => (float)(size * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }

    static float[] Attend<T>(Head head, float[] q, float[] k, float[] v) where T : struct, IPanelNumber
    {
        int room = (head.Keys + 15) / 16 * 16;
        int bytes = (int)HeadPanels<T>.Bytes(head.Size, room);
        var results = new float[q.Length];

        // Beyond the last key lies what would spoil everything if it were read.
        var memory = new byte[2 * bytes];
        memory.AsSpan().Fill(0xff);
        fixed (float* queries = q, keys = k, values = v, output = results)
        fixed (byte* panelMemory = memory)
        {
            var panels = new HeadPanels<T>(head.Size, room, panelMemory, panelMemory + bytes);

            // As a prompt and what follows come in: in parts of any length.
            var (keyRows, valueRows) = (HeadRows.Of(keys, 0, 1, head.Size), HeadRows.Of(values, 0, 1, head.Size));
            for (int first = 0, part = 1; first < head.Keys; first += part++)
                panels.Set(first, Math.Min(part, head.Keys - first), keyRows, valueRows, first);
            var attention = new AttentionQueries
            {
                Queries = HeadRows.Of(queries, 0, head.Group, head.Size), Results = output, Group = head.Group, Scale = 1 / MathF.Sqrt(head.Size),
                FirstSees = head.FirstSees, EachSeesMore = head.EachSeesMore, Window = head.Window,
            };
            IntegerAttention.Attend(attention, panels, 0, head.Queries * head.Group);
        }
        return results;
    }

    static double[] Formula(Head head, float[] q, float[] k, float[] v)
    {
        var results = new double[q.Length];
        for (int row = 0; row < head.Queries * head.Group; row++)
        {
            var (first, end) = head.Seen(row / head.Group);
            var scores = Enumerable.Range(first, end - first).Select(key => Enumerable.Range(0, head.Size).Sum(
                i => (double)q[row * head.Size + i] * k[key * head.Size + i]) / Math.Sqrt(head.Size)).ToArray();
            double largest = scores.Max(), total = scores.Sum(score => Math.Exp(score - largest));
            for (int i = 0; i < head.Size; i++)
                results[row * head.Size + i] = scores.Select((score, key) => Math.Exp(score - largest) * v[(first + key) * head.Size + i]).Sum() / total;
        }
        return results;
    }
}
