using System.Text;
using CsCheck;
using MedVlm.Evaluation.Ratings;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Evaluation.Tests.Reports;

/// <summary>Labels by which a rating sheet is drawn.</summary>
public sealed class LabelFileTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("ID,Caption,Modality\na,\"x, y\",CT\nb,z,\"X-ray, lateral\"\n")]
    [InlineData("\uFEFFmodality,id\r\nCT,a\r\n\"X-ray, lateral\",b")]
    [InlineData("{\"id\":\"a\",\"modality\":\"CT\"}\n\n{\"id\":\"c\"}\n{\"modality\":\"X-ray, lateral\",\"id\":\"b\"}\n")]
    public void Reads_a_column_by_id(string content)
    {
        var labels = LabelFile.Read(_folder.Write("labels", content), "modality");

        Assert.Equal([new("a", "CT"), new("b", "X-ray, lateral")], labels.OrderBy(label => label.Key));
    }

    [Theory]
    [InlineData("", "has no column \"ID\". Its columns are .")]
    [InlineData("ID,Caption\na,b\n", "has no column \"modality\". Its columns are ID, Caption.")]
    [InlineData("{\"id\":\"a\"}\n", "has no line with \"id\" and \"modality\".")]
    [InlineData("id,modality\na,CT\nb,MRI\na,CT\n", "has the id \"a\" more than once. Each image has one line.")]
    [InlineData("{\"id\":\"a\",\"modality\":\"CT\"}\n{\"id\":\"a\",\"modality\":\"MRI\"}\n", "has the id \"a\" more than once. Each image has one line.")]
    [InlineData("id,Caption,modality\na,\"x,\ny\",CT\n\nb,y, z,MRI\n", ": line 5 has 4 fields instead of 3. A field with a comma in it stands between quotes.")]
    [InlineData("\n\nmodality,id\nCT,a\nMRI\n", ": line 5 has 1 field instead of 2.")]
    [InlineData("id,modality\na,CT\n \n", ": line 3 has 1 field instead of 2.")]
    [InlineData("{\"id\":\n", "cannot be read as labels")]
    [InlineData("{\"id\":\"a\",\"modality\":\"CT\"}\n3\n", "cannot be read as labels")]
    public void Says_what_is_wrong(string content, string message)
    {
        var file = _folder.Write("labels", content);

        var error = Assert.Throws<EvaluationDataException>(() => LabelFile.Read(file, "modality"));

        Assert.StartsWith(file, error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Throws<EvaluationDataException>(() => LabelFile.Read(_folder.File("none"), "modality"));
    }

    [Fact]
    public void A_row_may_be_as_long_as_in_a_file_of_captions()
    {
        var file = _folder.Write("labels", $"ID,Caption,Modality\na,{new string('x', 60_000)},CT\n\nb,y,MRI\n");

        Assert.Equal([new("a", "CT"), new("b", "MRI")], LabelFile.Read(file, "Modality").OrderBy(label => label.Key));
        Assert.Equal(2, CaptionFile.ReadReferences(file, TestContext.Current.CancellationToken).Count);
    }

    [Fact]
    public void Another_encoding_is_refused()
    {
        foreach (var encoding in (Encoding[])[Encoding.Latin1, Encoding.Unicode])
        {
            var file = _folder.Write("labels", [.. encoding.GetPreamble(), .. encoding.GetBytes("ID,modality\na,Röntgen\n")]);
            Assert.Equal($"{file} is not UTF-8. Save the file as UTF-8.", Assert.Throws<EvaluationDataException>(() => LabelFile.Read(file, "modality")).Message);
        }
    }

    [Fact]
    public void Damaged_files_fail_by_name_or_are_read() => Gen.Select(Gen.Bool, Gen.Byte.Array[0, 6], Gen.Int[0, 60]).Sample((json, bytes, at) =>
    {
        var content = (json ? "{\"id\":\"a\",\"modality\":\"CT\"}\n{\"id\":\"b\",\"modality\":\"MRI\"}\n"u8 : "ID,Caption,Modality\na,\"x, y\",CT\nb,z,\"X-ray, lateral\"\n"u8).ToArray();
        bytes.CopyTo(content.AsSpan(Math.Min(at, content.Length - bytes.Length)));
        var file = _folder.Write("fuzz", content);
        try
        {
            Assert.NotNull(LabelFile.Read(file, "modality"));
        }
        catch (EvaluationDataException)
        {
        }
    }, iter: 500, threads: 1);
}
