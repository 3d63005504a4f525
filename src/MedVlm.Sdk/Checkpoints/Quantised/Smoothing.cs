using System.Numerics.Tensors;
using MedVlm.Graphs;

namespace MedVlm.Checkpoints.Quantised;

/// <summary>
/// Chooses the factors that make a group of linear layers lose least in INT8 (SmoothQuant, arXiv:2211.10438): a few channels that are much larger than
/// the others leave these few of a token's 8 bits, so each channel is divided by a factor and its weights are multiplied by it.
/// </summary>
/// <remarks>
/// The paper's factor of channel j is <c>max|X_j|^a / max|W_j|^(1-a)</c>. Here several a are tried and measured, none at all being one of them, and
/// factors are rounded to powers of two: they change no digit, so what comes before and after computes the same bits in FP32.
/// </remarks>
internal static class Smoothing
{
    /// <summary>By how much the error must be smaller for factors to be taken.</summary>
    public const double Margin = 0.05;

    // Beyond 2^12 a channel is 4,096 times the others: no number of 8 bits is left to win.
    const int LargestExponent = 12;

    static readonly float[] s_strengths = [0.25f, 0.5f, 0.75f];

    /// <summary>Measures a group.</summary>
    /// <param name="weights">The weights [out, in] of its layers.</param>
    /// <param name="source">What makes the inputs; null where nothing can be changed, so that only errors are measured.</param>
    /// <param name="largest">Largest magnitude of each input that was seen.</param>
    /// <param name="choosing">Rows of inputs by which the factors are chosen.</param>
    /// <param name="reporting">Other rows, by which their effect is told; what makes the error larger on these is not taken.</param>
    /// <param name="meanSquares">Mean square of each input.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static SmoothingResult Choose(
        IReadOnlyList<QuantisedTensor> weights, ChannelSource? source, float[] largest, IReadOnlyList<float[]> choosing, IReadOnlyList<float[]> reporting,
        float[] meanSquares, CancellationToken cancellationToken)
    {
        int width = largest.Length;
        var candidates = new List<float[]?> { null };
        if (source is not null)
            candidates.AddRange(Candidates(weights, source, largest, cancellationToken));

        float[][] rows = [.. choosing, .. reporting];
        var inputs = candidates.ConvertAll(factors => rows.Select(row => Rounded(row, factors)).ToArray());
        var errors = new LayerErrors[weights.Count];
        for (int layer = 0; layer < weights.Count; layer++)
        {
            var total = errors[layer] = new LayerErrors(candidates.Count, rows.Length);
            var (weight, byNorm) = (weights[layer], Quantiser.ErrorWeights(weights[layer]));
            Quantiser.ForRows(weight, (_, count, values) =>
            {
                var part = new LayerErrors(candidates.Count, rows.Length);
                var work = new Work(width);
                for (int i = 0; i < count; i++)
                    part.Add(values.Slice(i * width, width), rows, candidates, inputs, byNorm, meanSquares, work);
                lock (total)
                    total.Add(part);
                return true;
            }, cancellationToken);
        }

        Range chosen = ..choosing.Count, reported = choosing.Count..;
        double none = Mean(layer => layer.Int8(0, chosen));
        int best = Enumerable.Range(0, candidates.Count).MinBy(candidate => Mean(layer => layer.Int8(candidate, chosen)));

        // What few rows have taught can be wrong for others: nothing is taken that makes the error on these larger.
        if (!(Mean(layer => layer.Int8(best, chosen)) < (1 - Margin) * none) || Mean(layer => layer.Int8(best, reported)) > Mean(layer => layer.Int8(0, reported)))
            best = 0;
        bool measured = meanSquares.All(float.IsFinite) && Mean(layer => layer.Int4(true, chosen)) < Mean(layer => layer.Int4(false, chosen))
                        && Mean(layer => layer.Int4(true, reported)) <= Mean(layer => layer.Int4(false, reported));
        return new SmoothingResult(candidates[best], measured)
        {
            Int8 = Mean(layer => layer.Int8(0, reported)), Int8Calibrated = Mean(layer => layer.Int8(best, reported)),
            Int4 = Mean(layer => layer.Int4(false, reported)), Int4Calibrated = Mean(layer => layer.Int4(measured, reported)),
        };

        // Layers count alike, whatever the size of their outputs: the root of the mean of squared relative errors.
        double Mean(Func<LayerErrors, double> error) => Math.Sqrt(errors.Average(layer => Math.Pow(error(layer), 2)));
    }

    /// <summary>Factors of each channel, for each strength.</summary>
    static List<float[]> Candidates(IReadOnlyList<QuantisedTensor> weights, ChannelSource source, float[] largest, CancellationToken cancellationToken)
    {
        // Channels that are made by one row have one factor.
        float[] activations = new float[source.Rows], columns = new float[source.Rows];
        for (int channel = 0; channel < largest.Length; channel++)
            activations[source.RowOf[channel]] = MathF.Max(activations[source.RowOf[channel]], largest[channel]);
        foreach (var weight in weights)
            Quantiser.ForRows(weight, (_, count, values) =>
            {
                var most = new float[largest.Length];
                for (int i = 0; i < count; i++)
                    TensorPrimitives.MaxMagnitude(most, values.Slice(i * most.Length, most.Length), most);
                lock (columns)
                    for (int channel = 0; channel < most.Length; channel++)
                        columns[source.RowOf[channel]] = MathF.Max(columns[source.RowOf[channel]], MathF.Abs(most[channel]));
                return true;
            }, cancellationToken);

        var candidates = new List<float[]>();
        foreach (float strength in s_strengths)
        {
            // A factor that all channels share changes nothing: their mean is taken out. Channels that are always zero keep theirs.
            var exponents = new float[source.Rows];
            for (int row = 0; row < exponents.Length; row++)
                exponents[row] = strength * MathF.Log2(activations[row]) - (1 - strength) * MathF.Log2(columns[row]);
            var finite = source.RowOf.Distinct().Where(row => float.IsFinite(exponents[row])).ToList();
            float mean = finite.Count == 0 ? 0 : finite.Average(row => exponents[row]);
            candidates.Add([
                .. source.RowOf.Select(row => float.IsFinite(exponents[row])
                    ? MathF.ScaleB(1, (int)Math.Clamp(MathF.Round(exponents[row] - mean), -LargestExponent, LargestExponent))
                    : 1),
            ]);
        }
        return candidates;
    }

    /// <summary>A token's activations, divided by the factors, as INT8 makes them, multiplied by the factors again.</summary>
    static float[] Rounded(float[] row, float[]? factors)
    {
        var rounded = row.ToArray();
        if (factors is not null)
            TensorPrimitives.Divide(row, factors, rounded);
        float step = MathF.Abs(TensorPrimitives.MaxMagnitude<float>(rounded)) / IntegerProducts.LargestActivation;
        for (int i = 0; i < rounded.Length && step > 0; i++)
            rounded[i] = MathF.Round(rounded[i] / step) * step;
        if (factors is not null)
            TensorPrimitives.Multiply(rounded, factors, rounded);
        return rounded;
    }

    /// <summary>Room for the numbers of one output's weights.</summary>
    sealed class Work(int width)
    {
        public readonly sbyte[] Int8 = new sbyte[width];
        public readonly float[] Weights = new float[width];
        public readonly byte[] Int4 = new byte[Int4Quantiser.Blocks(width) * Int4Quantiser.BlockBytes];
        public readonly float[] Scales = new float[Int4Quantiser.Blocks(width)];
        public readonly byte[] ZeroPoints = new byte[(Int4Quantiser.Blocks(width) + 1) / 2];
    }

    /// <summary>Squared errors of a layer's outputs for each row of inputs, and the squares of these outputs.</summary>
    sealed class LayerErrors(int candidates, int rows)
    {
        readonly double[] _squares = new double[rows], _int4 = new double[rows], _int4Measured = new double[rows];
        readonly double[][] _int8 = [.. Enumerable.Range(0, candidates).Select(_ => new double[rows])];

        public double Int8(int candidate, Range range) => Relative(_int8[candidate], range);

        public double Int4(bool measured, Range range) => Relative(measured ? _int4Measured : _int4, range);

        /// <summary>Adds what one output's weights make of the rows.</summary>
        public void Add(
            ReadOnlySpan<float> weights, float[][] inputs, List<float[]?> factors, List<float[][]> rounded, float[] byNorm, float[] meanSquares, Work work)
        {
            Span<float> exact = stackalloc float[inputs.Length];
            for (int row = 0; row < inputs.Length; row++)
                _squares[row] += Square(exact[row] = TensorPrimitives.Dot(weights, inputs[row]));

            for (int candidate = 0; candidate < factors.Count; candidate++)
            {
                var made = work.Weights.AsSpan();
                weights.CopyTo(made);
                if (factors[candidate] is { } multiply)
                    TensorPrimitives.Multiply(made, multiply, made);
                float scale = Int8Quantiser.Quantise(made, work.Int8);
                TensorPrimitives.ConvertTruncating<sbyte, float>(work.Int8, made);
                TensorPrimitives.Multiply(made, scale, made);
                if (factors[candidate] is { } divide)
                    TensorPrimitives.Divide(made, divide, made);   // the rounded inputs are multiplied by it
                AddErrors(_int8[candidate], made, rounded[candidate], exact);
            }

            foreach (var (errorWeights, errors) in ((float[], double[])[])[(byNorm, _int4), (meanSquares, _int4Measured)])
            {
                Int4Quantiser.Quantise(weights, errorWeights, work.Int4, work.Scales, work.ZeroPoints);
                Int4Quantiser.Dequantise(work.Int4, work.Scales, work.ZeroPoints, work.Weights);
                AddErrors(errors, work.Weights, inputs, exact);
            }
        }

        public void Add(LayerErrors other)
        {
            AddAll(_squares, other._squares);
            AddAll(_int4, other._int4);
            AddAll(_int4Measured, other._int4Measured);
            for (int candidate = 0; candidate < _int8.Length; candidate++)
                AddAll(_int8[candidate], other._int8[candidate]);
        }

        static void AddAll(double[] to, double[] from) => TensorPrimitives.Add<double>(to, from, to);

        static void AddErrors(double[] errors, ReadOnlySpan<float> weights, float[][] inputs, ReadOnlySpan<float> exact)
        {
            for (int row = 0; row < inputs.Length; row++)
                errors[row] += Square(TensorPrimitives.Dot(weights, inputs[row]) - exact[row]);
        }

        /// <summary>Tokens count alike too: a few of a sequence can be a thousand times as large as the others (arXiv:2402.17762), and norms follow.</summary>
        double Relative(double[] errors, Range range)
        {
            var (start, count) = range.GetOffsetAndLength(errors.Length);
            double sum = 0;
            for (int row = start; row < start + count; row++)
                sum += _squares[row] == 0 ? 0 : errors[row] / _squares[row];
            return count == 0 ? 0 : Math.Sqrt(sum / count);
        }

        static double Square(double value) => value * value;
    }
}

/// <summary>What was chosen for a group, and what it loses: the norm of a token's error in its outputs over their norm, on the rows that only have a veto.</summary>
/// <param name="Factors">What each input is divided by; null for none.</param>
/// <param name="UsesMeanSquares">Whether INT4 loses less where its errors count by measured mean squares, rather than by the norm before.</param>
internal sealed record SmoothingResult(float[]? Factors, bool UsesMeanSquares)
{
    /// <summary>Error in INT8 without factors.</summary>
    public required double Int8 { get; init; }

    /// <summary>The same with what was chosen.</summary>
    public required double Int8Calibrated { get; init; }

    /// <summary>Error of weights in INT4 without what was measured.</summary>
    public required double Int4 { get; init; }

    /// <summary>The same with what was chosen.</summary>
    public required double Int4Calibrated { get; init; }
}
