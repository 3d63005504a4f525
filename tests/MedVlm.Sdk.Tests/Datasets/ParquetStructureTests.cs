using MedVlm.Datasets;

namespace MedVlm.Tests.Datasets;

/// <summary>What a parquet file says of its own structure is checked before anything believes it.</summary>
public sealed class ParquetStructureTests
{
    [Fact]
    public async Task Accepts_what_is_written()
    {
        var file = await DatasetFiles.ParquetAsync([[new("a", [1], "a.png", "x", ["C1", "C2"])], [new("b", null, null, null)]]);

        ParquetStructure.CheckFooter(Footer(file));
        var page = ParquetStructure.ReadPage(file.AsSpan(4));

        Assert.Equal((1, false), (page.Values, page.IsDictionary));
        Assert.InRange(page.Length, 1, file.Length);
    }

    // A valid schema (two elements) stands in front where the fault comes later: 1i version, 2 list of structures.
    [Theory]
    [InlineData("", "Cut short.")]
    [InlineData("00", "The schema is no tree.")]
    [InlineData("18 01", "Field 1 of File is of another kind.")]
    [InlineData("19 FC FF FF FF FF 07", "Field 1 of File is of another kind.")]
    [InlineData("29 FC FF FF FF FF 07 00", "A list that is none.")]                 // more elements than bytes
    [InlineData("F9 F9 FF FF FF FF 07 F1 FF FF FF FF 07 00", "A list that is none.")] // lists of booleans, which cost a reader time and no bytes
    [InlineData("F9 F1 05 00", "A list that is none.")]
    [InlineData("FB 00", "A field of kind 11.")]
    [InlineData("15 FF FF FF FF FF FF FF FF FF FF", "A number without end.")]
    [InlineData("15 02 05 02 02", "Fields out of order.")]
    [InlineData("00 00", "Bytes after the footer.")]
    [InlineData("29 2C 48 01 61 15 02 00 48 01 62 15 02 00 00", "The schema is no tree.")]   // two elements with a child each
    [InlineData("29 2C 48 01 61 15 01 00 48 01 62 00 00", "The schema is no tree.")]         // -1 children
    public void Refuses_what_is_none(string bytes, string message) => Assert.Equal(
        message, Assert.Throws<InvalidDataException>(() => ParquetStructure.CheckFooter(Convert.FromHexString(bytes.Replace(" ", "", StringComparison.Ordinal)))).Message);

    [Fact]
    public void Refuses_structures_that_are_nested_without_end() => Assert.Equal(
        "Nested too deeply.",
        Assert.Throws<InvalidDataException>(() => ParquetStructure.CheckFooter(Enumerable.Repeat((byte)0xFC, 100_000).ToArray())).Message);

    [Fact]
    public async Task Ends_on_every_damage()
    {
        var file = await DatasetFiles.ParquetAsync([[new("a", [1], "a.png", "x", ["C1", "C2"]), new("b", [2])]]);
        foreach (var damaged in Fuzz.Mutations(Footer(file)).Take(20_000))
            try
            {
                ParquetStructure.CheckFooter(damaged);
            }
            catch (InvalidDataException)
            {
                // The refusal that is asked for.
            }
    }

    static byte[] Footer(byte[] file) => file[^(8 + BitConverter.ToInt32(file, file.Length - 8))..^8];
}
