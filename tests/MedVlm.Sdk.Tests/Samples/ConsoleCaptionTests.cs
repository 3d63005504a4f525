using System.Diagnostics;
using System.Text.Json;
using CsvHelper;
using MedVlm.ConsoleSample;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Samples;

/// <summary>The console sample's captions: table, files and exit codes.</summary>
public sealed class ConsoleCaptionTests : IDisposable
{
    static readonly string s_image = Path.Combine(TestFolders.Phantoms, "06-hand-xray.tiff");

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Without_arguments_names_modality_and_region_of_every_sample_image()
    {
        var run = await ConsoleRun.Of();

        Assert.Equal(0, run.ExitCode);
        using var manifest = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestFolders.Phantoms, "manifest.json")));
        var images = manifest.RootElement.GetProperty("images").EnumerateArray().ToArray();
        Assert.Equal(24, images.Length);
        foreach (var image in images)
        {
            var caption = run.Row(image.GetProperty("file").GetString()!)[("  " + image.GetProperty("file").GetString()).Length..];
            Assert.Contains(Words(image.GetProperty("modality").GetString()!), word => caption.Contains(word, StringComparison.OrdinalIgnoreCase));
            Assert.Contains(Words(image.GetProperty("region").GetString()!), word => caption.Contains(word, StringComparison.OrdinalIgnoreCase));
        }

        Assert.Contains("24 captioned, 0 failed", run.Out, StringComparison.Ordinal);
    }

    /// <summary>How captions say what the manifest names.</summary>
    static string[] Words(string named) => named switch
    {
        "X-ray" => ["X-ray", "radiograph"],
        "histology" => ["section"],
        "head" => ["head", "brain"],
        _ => [named],
    };

    [Fact]
    public async Task Writes_JSON_lines_with_the_names_as_they_are()
    {
        string[] names = OperatingSystem.IsWindows()
            ? ["Rö 胸部.tiff", "a, b.tiff", "sub/x.tiff"]
            : ["Rö 胸部.tiff", "a, \"b\".tiff", "new\nline.tiff", "sub/x.tiff"];
        foreach (var name in names)
            _folder.Write("in/" + name, File.ReadAllBytes(s_image));
        _folder.Write("in/bad.png", "no image");

        var run = await ConsoleRun.Of("caption", _folder.File("in"), "--output", _folder.File("out.jsonl"));

        Assert.Equal(1, run.ExitCode);
        var rows = File.ReadAllLines(_folder.File("out.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).ToDictionary(row => row.GetProperty("id").GetString()!);
        Assert.Equal([.. names, "bad.png"], rows.Keys.ToHashSet());
        foreach (var name in names)
        {
            Assert.Equal("Frontal radiograph of the hand.", rows[name].GetProperty("text").GetString());
            Assert.InRange(rows[name].GetProperty("confidence").GetDouble(), 0.5, 1);
            Assert.Equal(JsonValueKind.Null, rows[name].GetProperty("error").ValueKind);
            Assert.Equal("fp32", rows[name].GetProperty("precision").GetString());
            Assert.Equal("end_of_sequence", rows[name].GetProperty("finish_reason").GetString());
        }

        Assert.Equal(
            ["id", "text", "confidence", "error", "model", "precision", "finish_reason", "tokens", "preprocess_ms", "queue_ms", "vision_ms", "prefill_ms", "decode_ms"],
            rows["bad.png"].EnumerateObject().Select(member => member.Name));
        Assert.Equal(JsonValueKind.Null, rows["bad.png"].GetProperty("text").ValueKind);
        Assert.Contains("image format", rows["bad.png"].GetProperty("error").GetString(), StringComparison.Ordinal);
        Assert.Contains("failed", run.Row("bad.png"), StringComparison.Ordinal);
        Assert.DoesNotContain("bad.png", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Writes_CSV_that_a_reader_reads_back()
    {
        string[] names = OperatingSystem.IsWindows() ? ["Rö 胸部.tiff", "a, b.tiff"] : ["Rö 胸部.tiff", "a, \"b\".tiff", "new\nline.tiff"];
        foreach (var name in names)
            _folder.Write("in/" + name, File.ReadAllBytes(s_image));
        _folder.Write("in/bad.png", "no image");

        await ConsoleRun.Of("caption", _folder.File("in"), "-o", _folder.File("OUT.CSV"), "--slots", "1");

        var rows = ReadCsv(_folder.File("OUT.CSV"));
        Assert.Equal(
            ["id", "text", "confidence", "error", "model", "precision", "finish_reason", "tokens", "preprocess_ms", "queue_ms", "vision_ms", "prefill_ms", "decode_ms"],
            rows[0]);
        Assert.Equal([.. names, "bad.png"], rows.Skip(1).Select(row => row[0]).ToHashSet());
        Assert.All(rows.Skip(1).Where(row => row[0] != "bad.png"), row => Assert.Equal("Frontal radiograph of the hand.", row[1]));
        Assert.Equal("", rows.Single(row => row[0] == "bad.png")[1]);
    }

    static List<string[]> ReadCsv(string path)
    {
        using var reader = CsvReader.FromFile(path, CsvReaderOptions.Default with { HasHeader = false });
        var rows = new List<string[]>();
        while (reader.Read())
            rows.Add([.. Enumerable.Range(0, reader.FieldCount).Select(column => reader.GetString(column)!)]);
        return rows;
    }

    [Fact]
    public async Task Gives_every_input_an_id_of_its_own_and_captions_none_twice()
    {
        foreach (var name in (string[])["a/x.tiff", "b/x.tiff", "b/y.tiff", "c/b/y.tiff", "z.tiff"])
            _folder.Write(name, File.ReadAllBytes(s_image));

        var run = await ConsoleRun.Of(
            "caption", _folder.File("a"), _folder.File("b"), _folder.File("b/y.tiff"), _folder.File("c/b"), _folder.File("z.tiff"), "--max-new-tokens", "1");

        Assert.Equal(0, run.ExitCode);
        foreach (var id in (string[])["a/x.tiff", "b/x.tiff", "b/y.tiff  ", "b/y.tiff (2)", "z.tiff"])
            run.Row(id);
        Assert.Contains("5 captioned", run.Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nonsense", "Unrecognized command or argument 'nonsense'.")]
    [InlineData("caption", "Required argument")]
    [InlineData("caption|/no/such/file", "There is no file or folder")]
    [InlineData("caption|{images}|--output|x.xlsx", "--output x.xlsx: the ending says the format, and there are .jsonl and .csv.")]
    [InlineData("caption|{images}|--output|/no/such/folder/x.csv", "there is no such folder")]
    [InlineData("caption|{images}|--model|no-such-org/no-such-model", "Model \"no-such-org/no-such-model\" was not found.")]
    [InlineData("caption|{images}|--max-new-tokens|0", "must be between 1 and 8192")]
    [InlineData("caption|{images}|--slots|many", "--slots")]
    [InlineData("caption|{empty}", "There is no image")]
    [InlineData("verify|{empty}", "holds no reference cases")]
    public async Task Says_what_is_wrong_with_the_command_line(string commandLine, string message)
    {
        _folder.Write("empty/readme.txt", "");
        var run = await ConsoleRun.Of(
            commandLine.Replace("{images}", TestFolders.Phantoms, StringComparison.Ordinal).Replace("{empty}", _folder.File("empty"), StringComparison.Ordinal).Split('|'));

        Assert.Equal(2, run.ExitCode);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_without_an_image_names_the_endings_that_are_read()
    {
        string[] endings = [".avif", ".gif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"];
        _folder.Write("empty/readme.txt", "");

        var error = (await ConsoleRun.Of("caption", _folder.File("empty"))).Error.TrimEnd();

        Assert.StartsWith("There is no image in these folders. Images are files that end in ", error, StringComparison.Ordinal);
        Assert.Equal(endings, System.Text.RegularExpressions.Regex.Matches(error, @"\.[a-z]+").Select(match => match.Value).Order(StringComparer.Ordinal));
        Assert.All(endings, ending => Assert.True(MedicalImage.IsImageFile("x" + ending), ending));
    }

    [Fact]
    public async Task Help_and_version_are_no_errors()
    {
        var help = await ConsoleRun.Of("caption", "--help");
        Assert.Equal((0, 0), (help.ExitCode, (await ConsoleRun.Of("--version")).ExitCode));
        Assert.Contains("--output", help.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ctrl_C_stops_cleanly_and_keeps_what_was_written()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("There is no signal to send to a process on Windows.");
            return;
        }

        for (int i = 0; i < 2000; i++)
            _folder.Write($"in/{i:D4}.tiff", File.ReadAllBytes(s_image));
        var output = _folder.File("out.jsonl");
        using var process = Process.Start(new ProcessStartInfo(
            Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet",
            [typeof(ConsoleApp).Assembly.Location, "caption", _folder.File("in"), "-o", output])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        })!;
        var reading = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        while (!process.HasExited && (!File.Exists(output) || new FileInfo(output).Length < 2000))
            await Task.Delay(20, TestContext.Current.CancellationToken);

        using (var kill = Process.Start("kill", ["-INT", process.Id.ToString()]))
            await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.Equal(130, process.ExitCode);
        var lines = File.ReadAllLines(output);
        Assert.InRange(lines.Length, 5, 1999);
        Assert.All(lines, line => JsonDocument.Parse(line).Dispose());
        Assert.Contains("Stopped: ", await reading, StringComparison.Ordinal);
    }
}
