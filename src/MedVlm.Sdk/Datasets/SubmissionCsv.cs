using System.Buffers;
using System.Text;

namespace MedVlm.Datasets;

/// <summary>Captions in the form in which ImageCLEF's caption task takes them: "ID,Caption", a row for each image, UTF-8 without a byte order mark.</summary>
internal static class SubmissionCsv
{
    static readonly SearchValues<char> s_quoted = SearchValues.Create(",\"\r\n");

    /// <summary>Writes the file from a file of captions, whose ids are known to differ.</summary>
    /// <exception cref="CaptionJobException">The folder cannot be written.</exception>
    public static void Write(string captions, string csv)
    {
        try
        {
            AtomicFile.Write(csv, stream =>
            {
                using var text = new StreamWriter(stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), bufferSize: 1 << 16, leaveOpen: true) { NewLine = "\n" };
                text.WriteLine("ID,Caption");
                LineFile.ReadAll(captions, line =>
                {
                    if (JobLines.ReadCaption(line) is not var (id, caption))
                        return false;
                    text.Write(Field(id));
                    text.Write(',');
                    text.WriteLine(Field(OneLine(caption)));
                    return true;
                });
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CaptionJobException($"{Path.GetFileName(csv)} cannot be written. {e.Message}", e);
        }
    }

    static string Field(string text) =>
        text.AsSpan().ContainsAny(s_quoted) || text.Length > 0 && (text[0] == ' ' || text[^1] == ' ') || text.Length == 0
            ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\""
            : text;

    // The task's readers go by lines: a caption of several becomes one.
    static string OneLine(string text) => text.ReplaceLineEndings(" ");
}
