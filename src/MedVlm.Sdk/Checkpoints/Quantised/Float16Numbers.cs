using System.Numerics.Tensors;

namespace MedVlm.Checkpoints.Quantised;

/// <summary>FP32 to FP16, where its range ends at 65,504: what lies beyond becomes that number rather than infinity.</summary>
internal static class Float16Numbers
{
    /// <summary>The largest number of FP16.</summary>
    public const float Largest = 65_504;

    /// <summary>Rounds each number to the nearest of FP16.</summary>
    /// <param name="source">Numbers; what is not a number stays that.</param>
    /// <param name="destination">As many.</param>
    public static void Convert(ReadOnlySpan<float> source, Span<Half> destination)
    {
        TensorPrimitives.ConvertToHalf(source, destination);
        if (OutOfRange(source) == 0)
            return;
        for (int i = 0; i < source.Length; i++)
            destination[i] = Saturated(source[i]);
    }

    /// <summary>The nearest number of FP16, the largest for what lies beyond.</summary>
    public static Half Saturated(float value) => (Half)Math.Clamp(value, -Largest, Largest);

    /// <summary>The smallest number of FP16 that is not below a positive one; the largest for what lies beyond. Of tiny numbers FP16 has few.</summary>
    public static float AtLeast(float value)
    {
        var nearest = Saturated(value);
        return (float)nearest < value && nearest < Half.MaxValue ? (float)Half.BitIncrement(nearest) : (float)nearest;
    }

    /// <summary>How many lie beyond the range.</summary>
    public static long OutOfRange(ReadOnlySpan<float> values)
    {
        // Mostly none: the largest magnitude tells, quicker than counting.
        if (values.IsEmpty || !(MathF.Abs(TensorPrimitives.MaxMagnitude(values)) > Largest || float.IsNaN(TensorPrimitives.MaxMagnitude(values))))
            return 0;

        long count = 0;
        foreach (float value in values)
            if (MathF.Abs(value) > Largest)
                count++;
        return count;
    }

    /// <summary>Names the weights whose FP16 form has lost numbers beyond its range: three of them, and how many numbers in all; null for none.</summary>
    /// <param name="tensors">What is made of the checkpoint's weights.</param>
    /// <param name="cancellationToken">Gives up at the next tensor.</param>
    public static string? Report(IEnumerable<QuantisedTensor> tensors, CancellationToken cancellationToken)
    {
        var found = OutOfRange(tensors.Where(tensor => tensor.Part == WeightPart.Float16).Select(tensor => tensor.Source).Distinct(), cancellationToken);
        return found.Count == 0 ? null
            : $"{found.Sum(tensor => tensor.Count)} weights, in {string.Join(", ", found.Take(3).Select(tensor => Fault.Quote(tensor.Tensor)))}{(found.Count > 3 ? ", …" : "")}";
    }

    /// <summary>The weights of a checkpoint that hold numbers beyond the range, with their count, the most first.</summary>
    /// <param name="tensors">The weights; those stored in FP16 hold none.</param>
    /// <param name="cancellationToken">Gives up at the next tensor.</param>
    public static IReadOnlyList<(string Tensor, long Count)> OutOfRange(IEnumerable<StoredTensor> tensors, CancellationToken cancellationToken)
    {
        const int AtOnce = 1 << 20;
        var found = new List<(string Tensor, long Count)>();
        foreach (var tensor in tensors.Where(tensor => tensor.Dtype is TensorDtype.BF16 or TensorDtype.F32 or TensorDtype.F64))
        {
            long count = 0;
            ParallelLoop.For(
                (tensor.Elements + AtOnce - 1) / AtOnce, () => new float[Math.Min(AtOnce, tensor.Elements)],
                (run, _, values) =>
                {
                    long first = run * AtOnce;
                    var part = values.AsSpan(0, (int)Math.Min(AtOnce, tensor.Elements - first));
                    Widen.ToFloat32(tensor, first, part);
                    Interlocked.Add(ref count, OutOfRange(part));
                }, cancellationToken);
            if (count > 0)
                found.Add((tensor.Name, count));
        }
        return [.. found.OrderByDescending(tensor => tensor.Count)];
    }
}
