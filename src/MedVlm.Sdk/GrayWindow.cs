namespace MedVlm;

/// <summary>Which stored grey values become black and white: the window of a radiology viewer.</summary>
/// <remarks>
/// A value v of at most <see cref="Low"/> becomes 0, of at least <see cref="High"/> becomes 255, and in between
/// floor((v - Low) / (High - Low) * 255 + 0.5): linear, rounded half up. Not-a-number becomes 0. The unit is the file's own:
/// stored values, before any rescale slope or intercept.
/// </remarks>
public readonly record struct GrayWindow
{
    /// <summary>Creates a window.</summary>
    /// <param name="low">The value that becomes black.</param>
    /// <param name="high">The value that becomes white; greater than <paramref name="low"/>.</param>
    /// <exception cref="ArgumentException">One of the two is not finite, or <paramref name="high"/> is not greater than <paramref name="low"/>.</exception>
    public GrayWindow(double low, double high)
    {
        if (!double.IsFinite(high - low) || high <= low)
            throw new ArgumentException("A grey window needs two finite values, the high one greater than the low one.", nameof(high));
        (Low, High) = (low, high);
    }

    /// <summary>The value that becomes black.</summary>
    public double Low { get; }

    /// <summary>The value that becomes white.</summary>
    public double High { get; }

    /// <summary>The 8-bit grey of a stored value.</summary>
    internal byte Map(double value) =>
        value >= High ? (byte)255
        : value > Low ? (byte)((value - Low) / (High - Low) * 255 + 0.5)
        : (byte)0;
}
