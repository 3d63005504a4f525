using System.Globalization;
using System.Text;
using CsCheck;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Evaluation.Tests.Files;

public sealed class CaptionFileTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    const string References = "ID,Caption\na,CT of the chest\nb,\"An \"\"X-ray\"\", lateral\"\nc,\n";

    public static TheoryData<string, string> Candidates => new()
    {
        { "CSV", "ID,Caption\nc,one\na,two\nb,three\n" },
        { "CSV with a byte order mark and CRLF", "\uFEFFID,Caption\r\nc,one\r\na,two\r\nb,three" },
        { "CSV with other columns, in another order", "score,caption,id\n1,one,c\n2,two,a\n3,three,b\n" },
        { "JSON lines", "{\"id\":\"c\",\"caption\":\"one\"}\n{\"tokens\":3,\"caption\":\"two\",\"id\":\"a\"}\n\n{\"id\":\"b\",\"caption\":\"three\"}" },
        { "CSV as the console writes it", "id,text,confidence,error\nc,one,0.5,\na,two,0.5,\nb,three,,\n" },
        { "JSON lines as the console writes them", "{\"id\":\"c\",\"text\":\"one\",\"error\":null}\n{\"id\":\"a\",\"text\":\"two\"}\n{\"id\":\"b\",\"text\":\"three\"}" },
        { "JSON lines with a byte order mark", "\uFEFF{\"id\":\"c\",\"caption\":\"one\"}\r\n{\"caption\":\"two\",\"id\":\"a\",\"error\":null}\r\n{\"id\":\"b\",\"captions\":[\"three\"]}\r\n" },
    };

    [Theory, MemberData(nameof(Candidates))]
    public void Captions_of_an_id_are_put_together(string name, string candidates)
    {
        Assert.NotEmpty(name);
        var set = CaptionFile.ReadPairs(File("references.csv", References), File("Rö 胸部.txt", candidates), TestContext.Current.CancellationToken);

        Assert.Equal(["a", "b", "c"], set.Pairs.Select(pair => pair.Id));
        Assert.Equal(["CT of the chest", "An \"X-ray\", lateral", ""], set.Pairs.Select(pair => Assert.Single(pair.References)));
        Assert.Equal(["two", "three", "one"], set.Pairs.Select(pair => pair.Candidate));
        Assert.Empty(set.EmptyCandidates);
    }

    [Fact]
    public void References_may_be_several_and_candidates_empty()
    {
        var set = CaptionFile.ReadPairs(
            File("r.jsonl", "{\"id\":\"a\",\"captions\":[\"one\",\"two\"]}\n{\"id\":7,\"caption\":\"\"}\n"),
            File("c.csv", "ID,Caption\n7,#\na,\" \"\n"), TestContext.Current.CancellationToken);

        Assert.Equal(["one", "two"], set.Pairs[0].References);
        Assert.Equal(["", "#"], [set.Pairs[1].References[0], set.Pairs[1].Candidate]);
        Assert.Equal(["a"], set.EmptyCandidates);
    }

    [Theory]
    [InlineData("id,text,error\na,one,\n7,,The image is damaged.\n")]
    [InlineData("{\"id\":\"a\",\"text\":\"one\"}\n{\"id\":\"7\",\"text\":null,\"error\":\"The image is damaged.\"}\n")]
    public void An_image_that_failed_is_no_empty_caption(string candidates)
    {
        var references = File("r.csv", "ID,Caption\na,one\n7,two\n");

        var error = Assert.Throws<EvaluationDataException>(() => CaptionFile.ReadPairs(references, File("c.txt", candidates), TestContext.Current.CancellationToken));

        Assert.Contains("1 image whose candidate failed (\"error\"): \"7\".", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void References_alone_keep_the_order_of_the_file()
    {
        var references = CaptionFile.ReadReferences(File("r.csv", "ID,Caption\nz,1\na,\"two\nlines\"\n#b,3\n"), TestContext.Current.CancellationToken);
        Assert.Equal(["z", "a", "#b"], references.Keys);
        Assert.Equal("two\nlines", references["a"][0]);
    }

    public static TheoryData<string, string> Faults => new()
    {
        { "", "the file is empty; its first line must be ID,Caption." },
        { "Id;Caption\na;b\n", "the first line is \"Id;Caption\"; it must be ID,Caption." },
        { "a,CT\nb,MRI\n", "the first line is \"a,CT\"; it must be ID,Caption." },
        { "ID,Caption\na,1\na,2\nb,3\n\"a\",4\n", "2 ids more than once: \"a\" (lines 2 and 3); \"a\" (lines 2 and 5). Each image has one line." },
        { "ID,Caption\n,1\n \t,2\n", "2 lines without an id: line 2; line 3." },
        { "ID,Caption\na,\"two\nlines\"\nb,1,2\nc\n\nd,ok\n", "2 malformed lines: line 4 (3 fields instead of 2); line 5 (1 field instead of 2)." },
        { "ID,Caption\na,1\nb,\"2\"x\n", "1 malformed line: line 3 (quotes around a field must close, and a quote inside is written twice)." },
        {
            "{\"id\":\"a\",\"caption\":1}\n{\"id\":\"b\"}\n{\"caption\":\"x\"}\n[]\n{\"id\":\"c\",\n{\"id\":\"d\",\"captions\":[]}\n",
            "6 malformed lines: line 1 (\"caption\" of \"a\" is no text); line 2 (\"b\" has neither \"caption\" nor \"error\"); line 3 (no \"id\" that is a text); "
                + "line 4 (no object); line 5 (no JSON at byte 10); and 1 more."
        },
        { "{\"id\":\"\\ud800\",\"caption\":\"\"}", "1 malformed line: line 1 (a text with half of a surrogate pair)." },
        { "{\"id\":\"a\",\"error\":\"damaged\"}", "1 malformed line: line 1 (\"a\" has no caption)." },
        { "ID,Caption\na,x\0y\n", "not UTF-8 on 1 line: line 2 (a zero byte). Save the file as UTF-8." },
    };

    [Theory, MemberData(nameof(Faults))]
    public void A_fault_is_named_with_its_line(string text, string message)
    {
        var path = File("r.csv", text);
        var error = Assert.Throws<EvaluationDataException>(() => CaptionFile.ReadReferences(path, TestContext.Current.CancellationToken));
        Assert.Equal($"{path}: {message}", error.Message);
    }

    [Fact]
    public void Another_encoding_is_named_with_its_lines()
    {
        var latin = File("latin.csv", Encoding.Latin1.GetBytes("ID,Caption\na,Röntgen\nb,CT\nc,Ödem\n"));
        var error = Assert.Throws<EvaluationDataException>(() => CaptionFile.ReadReferences(latin, TestContext.Current.CancellationToken));
        Assert.Equal($"{latin}: not UTF-8 on 2 lines: line 2; line 4. Save the file as UTF-8.", error.Message);

        var utf16 = File("utf16.csv", Encoding.Unicode.GetPreamble().Concat(Encoding.Unicode.GetBytes(References)).ToArray());
        error = Assert.Throws<EvaluationDataException>(() => CaptionFile.ReadReferences(utf16, TestContext.Current.CancellationToken));
        Assert.Equal($"{utf16}: not UTF-8 on 1 line: line 1 (the file is UTF-16). Save the file as UTF-8.", error.Message);
    }

    [Fact]
    public void Ids_that_differ_are_counted_and_the_first_are_listed()
    {
        var references = File("r.csv", "ID,Caption\n" + string.Concat(Enumerable.Range(1, 8).Select(i => $"image{i},x\n")));
        var candidates = File("c.jsonl", "{\"id\":\"image8\",\"error\":\"damaged\"}\n{\"id\":\"other\",\"caption\":\"x\"}\n{\"id\":\"image7\",\"caption\":\"x\"}\n");

        var error = Assert.Throws<EvaluationDataException>(() => CaptionFile.ReadPairs(references, candidates, TestContext.Current.CancellationToken));

        Assert.Equal($"{candidates} and {references} are not of the same images. 6 images without a candidate: \"image1\"; \"image2\"; \"image3\"; \"image4\"; "
            + "\"image5\"; and 1 more. 1 image whose candidate failed (\"error\"): \"image8\". 1 image without a reference: \"other\". Score the same images in both.",
            error.Message);
    }

    [Fact]
    public void A_file_that_is_not_there_is_a_fault_of_the_data() =>
        Assert.StartsWith("nowhere.csv cannot be read: ",
            Assert.Throws<EvaluationDataException>(() => CaptionFile.ReadReferences("nowhere.csv", TestContext.Current.CancellationToken)).Message);

    [Fact]
    public void A_row_without_end_is_refused()
    {
        var endless = File("endless.csv", "ID,Caption\na,\"" + new string('x', 5 << 20));
        var error = Assert.Throws<EvaluationDataException>(() => CaptionFile.ReadReferences(endless, TestContext.Current.CancellationToken));
        Assert.Equal($"{endless}: 1 malformed line: line 2 (longer than 4 MiB).", error.Message);

        var open = File("open.csv", "ID,Caption\na,\"" + string.Concat(Enumerable.Repeat(new string('x', 1000) + "\n", 5000)));
        error = Assert.Throws<EvaluationDataException>(() => CaptionFile.ReadReferences(open, TestContext.Current.CancellationToken));
        Assert.Equal($"{open}: 1 malformed line: line 2 (a quote that does not close, or a row longer than 4 MiB).", error.Message);
    }

    [Theory]
    [InlineData("ID,Caption\na,{0}\n", "line 2")]
    [InlineData("{{\"id\":\"a\",\"captions\":[\"x\",\"{0}\"]}}", "line 1")]
    public void A_caption_beyond_any_use_is_refused(string file, string line)
    {
        var longest = File("longest", string.Format(CultureInfo.InvariantCulture, file, new string('x', 65_536)));
        Assert.Single(CaptionFile.ReadReferences(longest, TestContext.Current.CancellationToken));

        var longer = File("longer", string.Format(CultureInfo.InvariantCulture, file, new string('x', 65_537)));
        var error = Assert.Throws<EvaluationDataException>(() => CaptionFile.ReadReferences(longer, TestContext.Current.CancellationToken));
        Assert.Equal($"{longer}: 1 malformed line: {line} (the caption of \"a\" has 65,537 characters; 65,536 are the most).", error.Message);
    }

    [Fact]
    public void What_is_written_as_CSV_or_JSON_is_read_back() =>
        Gen.Dictionary(Gen.String[Gen.Char.Where(c => c != 0 && !char.IsSurrogate(c) && c != '\r'), 1, 8].Where(id => !string.IsNullOrWhiteSpace(id)),
            Gen.String[Gen.Char.Where(c => c != 0 && !char.IsSurrogate(c) && c != '\r'), 0, 20])[1, 6].Sample(captions =>
        {
            static string Quoted(string text) => $"\"{text.Replace("\"", "\"\"")}\"";
            var csv = File("g.csv", "ID,Caption\n" + string.Concat(captions.Select(row => $"{Quoted(row.Key)},{Quoted(row.Value)}\n")));
            var json = File("g.jsonl", string.Join('\n', captions.Select(row => System.Text.Json.JsonSerializer.Serialize(new { id = row.Key, caption = row.Value }))));

            var set = CaptionFile.ReadPairs(csv, json, TestContext.Current.CancellationToken);

            Assert.Equal(captions.OrderBy(row => row.Key, StringComparer.Ordinal).Select(row => (row.Key, row.Value, row.Value)),
                set.Pairs.OrderBy(pair => pair.Id, StringComparer.Ordinal).Select(pair => (pair.Id, pair.References[0], pair.Candidate)));
        }, iter: 100, threads: 1);

    [Fact]
    public void Damaged_files_give_only_faults_of_the_data()
    {
        byte[][] files = [Encoding.UTF8.GetBytes(References), .. Candidates.Select(row => Encoding.UTF8.GetBytes(row.Data.Item2))];
        int tried = Fuzz.Run<EvaluationDataException>(files, bytes => CaptionFile.ReadReferences(File("fuzz", bytes), CancellationToken.None));
        Assert.True(tried > 100);
    }

    [Fact]
    public void Any_bytes_give_captions_or_faults_of_the_data() => Gen.OneOf(
        Gen.Byte.Array[0, 60],
        Gen.Int[0, s_pieces.Length - 1].Array[0, 30].Select(pieces => pieces.SelectMany(piece => s_pieces[piece]).ToArray())).Sample(bytes =>
    {
        var path = File("any", bytes);
        try
        {
            CaptionFile.ReadPairs(path, path, CancellationToken.None);
        }
        catch (EvaluationDataException e)
        {
            Assert.StartsWith(path, e.Message);
        }
        ClefSubmission.Check(path, ["a"], CancellationToken.None);
    }, iter: 500, threads: 1);

    static readonly byte[][] s_pieces =
    [
        .. new[] { "ID,Caption\n", "a", "b,", ",", "\"", "\n", "\r\n", "\r", " ", "{", "}", "\"id\":", "\"a\"", "\"caption\":", "\"captions\":[", "]", "null", "\\ud800", "\uFEFF", "#" }
            .Select(Encoding.UTF8.GetBytes),
        [0xFF], [0x00], [0xC3],
    ];

    string File(string name, string text) => File(name, Encoding.UTF8.GetBytes(text));

    string File(string name, byte[] bytes)
    {
        var path = Path.Combine(_folder.Path, name);
        System.IO.File.WriteAllBytes(path, bytes);
        return path;
    }
}
