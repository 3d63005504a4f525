using System.Diagnostics;

namespace MedVlm.Imaging;

/// <summary>What one pass of a resize multiplies: for each output position, which inputs and with which weights.</summary>
/// <remarks>
/// Pillow's <c>precompute_coeffs</c> and <c>normalize_coeffs_8bpc</c> (src/libImaging/Resample.c), operation by operation in double:
/// a product in place of a division, or another order of the sum, moves a weight by one unit and then a pixel by one level.
/// </remarks>
internal sealed class AxisWeights
{
    /// <summary>Fraction bits of a quantised weight: 32 less the 8 of a pixel and 2 of headroom.</summary>
    public const int FractionBits = 32 - 8 - 2;

    readonly (int First, int Count)[] _windows;
    readonly int[] _weights;   // [output, _stride]
    readonly int _stride;

    /// <summary>The weights that take an axis of <paramref name="inputs"/> samples to <paramref name="outputs"/> samples.</summary>
    public AxisWeights(int inputs, int outputs, Resample filter)
    {
        double scale = (double)inputs / outputs;
        double filterScale = Math.Max(scale, 1.0);   // enlarging keeps the kernel's own width
        double support = Support(filter) * filterScale;
        double inverse = 1.0 / filterScale;

        _stride = checked((int)Math.Ceiling(support) * 2 + 1);
        _windows = new (int, int)[outputs];
        _weights = new int[checked(outputs * _stride)];
        var exact = new double[_stride];

        for (int output = 0; output < outputs; output++)
        {
            double center = (output + 0.5) * scale;
            int first = Math.Max((int)(center - support + 0.5), 0);
            int count = Math.Min((int)(center + support + 0.5), inputs) - first;

            double total = 0;
            for (int i = 0; i < count; i++)
                total += exact[i] = Kernel(filter, (i + first - center + 0.5) * inverse);

            _windows[output] = (first, count);
            for (int i = 0; i < count; i++)
                _weights[output * _stride + i] = Quantise(total != 0 ? exact[i] / total : exact[i]);
        }
    }

    /// <summary>How many positions the axis has afterwards.</summary>
    public int Outputs => _windows.Length;

    /// <summary>The first input that output position <paramref name="output"/> reads.</summary>
    public int First(int output) => _windows[output].First;

    /// <summary>The weights of that input and the ones after it, in units of 2^-22.</summary>
    public ReadOnlySpan<int> Weights(int output) => _weights.AsSpan(output * _stride, _windows[output].Count);

    /// <summary>Rounds half away from zero; the quantised weights are not corrected to sum to one.</summary>
    static int Quantise(double weight) => (int)(weight * (1 << FractionBits) + (weight < 0 ? -0.5 : 0.5));

    static double Support(Resample filter) => filter switch
    {
        Resample.Bilinear => 1,
        Resample.Bicubic => 2,
        Resample.Lanczos => 3,
        _ => throw new UnreachableException(),
    };

    static double Kernel(Resample filter, double x) => filter switch
    {
        Resample.Bilinear => Triangle(Math.Abs(x)),
        Resample.Bicubic => Cubic(Math.Abs(x)),
        Resample.Lanczos => x is >= -3 and < 3 ? Sinc(x) * Sinc(x / 3) : 0,
        _ => throw new UnreachableException(),
    };

    static double Triangle(double x) => x < 1 ? 1 - x : 0;

    static double Cubic(double x)
    {
        const double a = -0.5;
        return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1
             : x < 2 ? (((x - 5) * x + 8) * x - 4) * a
             : 0;
    }

    static double Sinc(double x)
    {
        if (x == 0)
            return 1;
        x *= Math.PI;
        return Math.Sin(x) / x;
    }
}
