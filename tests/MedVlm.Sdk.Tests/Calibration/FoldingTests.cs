using MedVlm.Checkpoints.Quantised;
using MedVlm.Graphs;
using MedVlm.Tests.Checkpoints;
using MedVlm.Tests.Models;

namespace MedVlm.Tests.Calibration;

/// <summary>Factors that are folded into the weights change nothing but how they are rounded: in FP32 every family computes the same bits.</summary>
[Trait("Category", "Golden")]
public sealed class FoldingTests
{
    /// <summary>The first case of each family on disk, and one with an adapter.</summary>
    public static TheoryData<string> Cases =>
        [.. GoldenCase.Names().GroupBy(name => name.Split('/')[0]).Select(family => family.First()), .. GoldenCase.LoraNames().Take(1)];

    [Theory, MemberData(nameof(Cases))]
    public async Task FP32_computes_the_same_bits_with_any_factors(string name)
    {
        bool isLora = GoldenCase.LoraNames().Contains(name);
        var golden = isLora ? GoldenCase.LoadLora(name) : GoldenCase.Load(name);
        var options = golden.ToOptions();
        if (isLora)
            (options.Adapter, options.Model) = (Path.Combine(TestFolders.Goldens, golden.Family), Path.Combine(TestFolders.Goldens, golden.Family.Split('/')[0], "checkpoint"));
        using var folder = new TemporaryFolder();
        var cache = new QuantisedCache(folder.File("cache"));

        float[] expected, actual;
        using (var plain = new CalibratedModel(options, Precision.Fp32, cache, _ => null))
            expected = await plain.LogitsAsync(golden.ToRequest());
        using (var folded = new CalibratedModel(options, Precision.Fp32, cache, AnyFactors))
        {
            actual = await folded.LogitsAsync(golden.ToRequest());
            Assert.NotEmpty(folded.Calibration!.Folds);
        }

        Assert.Equal(expected, actual);
        Assert.Equal(2, cache.Files().Count());   // which were not made of the same weights
    }

    /// <summary>From 1/8 to 8, at random, wherever a factor can be.</summary>
    internal static CalibrationData AnyFactors(IEnumerable<LinearGroup> groups)
    {
        var random = new Random(1);
        return new CalibrationData([.. groups.Where(group => group.Source is not null).Select(group => Fold(group, _ => MathF.ScaleB(1, random.Next(-3, 4))))], new Dictionary<string, float[]>());
    }

    /// <summary>Factors of a group by the rows that make its channels.</summary>
    internal static Fold Fold(LinearGroup group, Func<int, float> factorOfRow)
    {
        float[] rows = [.. Enumerable.Range(0, group.Source!.Rows).Select(factorOfRow)];
        var used = group.Source.RowOf.ToHashSet();
        return new Fold(
            group.Layers.ToDictionary(layer => layer.Weight, _ => (float[])[.. group.Source.RowOf.Select(row => rows[row])]),
            group.Source.Tensors.ToDictionary(tensor => tensor, _ => (float[])[.. rows.Select((factor, row) => used.Contains(row) ? factor : 1)]));
    }
}
