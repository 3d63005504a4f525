namespace MedVlm.Calibration;

/// <summary>What the linear layers that share an input have been given, over all runs.</summary>
/// <param name="width">Channels.</param>
internal sealed class InputStatistics(int width)
{
    /// <summary>Rows that are kept of each half of the images, whatever their number: 64 rows of every layer's input take 0.2 GB for a model of 7 billion weights.</summary>
    public const int RowsKept = 32;

    // Of the TinyModel's layers after a GELU, 0.01 makes INT4's error on other images larger by a tenth where 4 images were seen; 0.5 makes it smaller.
    const double Dampening = 0.5;

    readonly double[] _squares = new double[width];
    readonly (List<float[]> Rows, int Seen)[] _halves = [([], 0), ([], 0)];
    readonly Random _random = new(2);
    long _count;

    /// <summary>Channels.</summary>
    public int Width => width;

    /// <summary>Largest magnitude of each channel on the images that the choice is made by.</summary>
    public float[] Largest { get; } = new float[width];

    /// <summary>Rows of the images that the choice is made by.</summary>
    public IReadOnlyList<float[]> Choosing => _halves[0].Rows;

    /// <summary>Rows of the others.</summary>
    public IReadOnlyList<float[]> Reporting => _halves[1].Rows;

    /// <summary>
    /// Mean square of each channel on the images that the choice is made by, and a share of the mean of all: a channel that was silent on these may
    /// speak on others (as GPTQ dampens, arXiv:2210.17323).
    /// </summary>
    public float[] MeanSquares()
    {
        double floor = Dampening * _squares.Average();
        return [.. _squares.Select(sum => (float)((sum + floor) / Math.Max(_count, 1)))];
    }

    /// <summary>Adds a run.</summary>
    /// <param name="count">Its rows.</param>
    /// <param name="squares">Sum of their squares, channel by channel.</param>
    /// <param name="largest">Their largest magnitude.</param>
    /// <param name="rows">A few of them, one after another.</param>
    /// <param name="choosing">Which half of the images it belongs to.</param>
    public void Add(long count, float[] squares, float[] largest, float[] rows, bool choosing)
    {
        if (choosing)
        {
            _count += count;
            for (int channel = 0; channel < width; channel++)
            {
                _squares[channel] += squares[channel];
                Largest[channel] = MathF.Max(Largest[channel], largest[channel]);
            }
        }

        // Each row that was seen is as likely to be kept as any other (reservoir sampling).
        ref var half = ref _halves[choosing ? 0 : 1];
        foreach (var row in rows.Chunk(width))
        {
            int place = half.Rows.Count < RowsKept ? half.Rows.Count : _random.Next(half.Seen + 1);
            half.Seen++;
            if (place == half.Rows.Count)
                half.Rows.Add(row);
            else if (place < RowsKept)
                half.Rows[place] = row;
        }
    }
}
