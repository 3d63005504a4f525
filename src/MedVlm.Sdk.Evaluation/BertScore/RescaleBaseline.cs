using System.Globalization;
using MedVlm.Checkpoints;

namespace MedVlm.Evaluation.BertScore;

/// <summary>Reads a baseline file of bert-score: what unrelated sentences score with a model, a line for each layer, <c>LAYER,P,R,F</c>.</summary>
internal static class RescaleBaseline
{
    const long LargestFile = 1 << 20;

    static readonly string[] s_columns = ["LAYER", "P", "R", "F"];

    /// <exception cref="CheckpointException">The file is missing or no baseline file, or has no line for the layer.</exception>
    public static BertScoreValues Read(string path, int layer)
    {
        var file = Path.GetFileName(path);
        string[] lines;
        try
        {
            if (new FileInfo(path).Length > LargestFile)
                throw new CheckpointException($"{file}: more than {LargestFile >> 20} MiB. It is no baseline file of bert-score.");
            lines = File.ReadAllLines(path);
        }
        catch (Exception e) when (Fault.IsFileError(e))
        {
            throw new CheckpointException($"{file}: the baseline file cannot be read ({e.Message})", e);
        }

        if (lines.Length == 0 || !Fields(lines[0]).SequenceEqual(s_columns, StringComparer.OrdinalIgnoreCase))
            throw new CheckpointException($"{file}: the first line is not \"{string.Join(',', s_columns)}\". It is no baseline file of bert-score (rescale_baseline in its repository).");

        foreach (var (number, line) in lines.Index().Skip(1).Where(line => !string.IsNullOrWhiteSpace(line.Item)))
        {
            var fields = Fields(line);
            if (fields.Length != s_columns.Length || !int.TryParse(fields[0], NumberStyles.None, CultureInfo.InvariantCulture, out int of)
                || !Baseline(fields[1], out double precision) || !Baseline(fields[2], out double recall) || !Baseline(fields[3], out double f1))
                throw new CheckpointException($"{file}: line {number + 1} is no layer and three numbers below 1. The file is damaged: take it anew from bert-score's repository.");
            if (of == layer)
                return new BertScoreValues(precision, recall, f1);
        }
        throw new CheckpointException($"{file}: there is no line for layer {layer}. The file is of another model: take the one of the encoder's own name.");
    }

    static string[] Fields(string line) => [.. line.Split(',', '\t').Select(field => field.Trim())];

    // 1 would divide by zero.
    static bool Baseline(string text, out double value) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value) && value is > -1 and < 1;
}
