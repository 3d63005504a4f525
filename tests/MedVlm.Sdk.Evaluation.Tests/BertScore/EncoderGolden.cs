using System.Runtime.InteropServices;
using System.Text.Json;

namespace MedVlm.Evaluation.Tests.BertScore;

/// <summary>A tiny checkpoint with what transformers and bert-score give for it (tests/goldens/components/encoders/notes.md).</summary>
internal sealed class EncoderGolden(string name)
{
    /// <summary>The folder of one in the repository, for tests that need a checkpoint and no reference's values.</summary>
    public static string Checkpoint(string name) => Path.Combine(TestFolders.Repository, "tests", "goldens", "components", "encoders", name);

    static string Root => Path.Combine(TestFolders.Goldens, "components", "encoders");

    /// <summary>One row for each checkpoint on disk.</summary>
    public static TheoryData<string> Names(string file) =>
        [.. (Directory.Exists(Root) ? Directory.GetDirectories(Root) : [])
            .Where(folder => File.Exists(Path.Combine(folder, file))).Select(folder => Path.GetFileName(folder)).Order(StringComparer.Ordinal)];

    public string Folder { get; } = Path.Combine(Root, name);

    public string PathOf(string file) => Path.Combine(Folder, file);

    public List<(string Text, int[] Ids)> Tokens()
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(PathOf("tokens.json")));
        return [.. json.RootElement.EnumerateArray().Select(row => (row.GetProperty("text").GetString()!, Ints(row.GetProperty("ids"))))];
    }

    public JsonDocument Scores() => JsonDocument.Parse(File.ReadAllBytes(PathOf("scores.json")));

    public static int[] Ints(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetInt32())];

    public static double[] Doubles(JsonElement list) => [.. list.EnumerateArray().Select(value => value.GetDouble())];

    public static float[] Floats(GoldenTensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.Bytes).ToArray();

    public static double Distance(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double largest = 0;
        for (int i = 0; i < expected.Length; i++)
            largest = Math.Max(largest, Math.Abs((double)expected[i] - actual[i]));
        return largest;
    }
}
