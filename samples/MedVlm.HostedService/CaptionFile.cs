using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace MedVlm.HostedServiceSample;

/// <summary>What lies in the outbox for an image: its caption; or beside a failed image: its error.</summary>
/// <remarks>Id is the image's path below the inbox, Sha256 the key of its content, by which a restart knows what is captioned already.</remarks>
internal sealed record CaptionFile(
    string Id, string Sha256, DateTimeOffset WrittenAt, string? Text = null, double? Confidence = null, string? Error = null, string? Model = null,
    Precision? Precision = null, FinishReason? FinishReason = null, int? Tokens = null, double? Milliseconds = null)
{
    static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,   // "H&E" and "胸部" stay readable
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
        WriteIndented = true,
        NewLine = "\n",
    };

    public static CaptionFile Of(Caption caption, string id, string sha256, DateTimeOffset now) => new(
        id, sha256, now, caption.Text, caption.Confidence, null, caption.Model, caption.Precision, caption.FinishReason, caption.TokenIds.Count,
        Math.Round(caption.Timings.Total.TotalMilliseconds, 1));

    /// <summary>Writes the file so that it is there whole or not at all, also after a power cut: temporary name, flush, rename. What is there is replaced.</summary>
    public void Write(string path) => File.Move(WriteBeside(path), path, overwrite: true);

    /// <summary>The same, but replaces nothing.</summary>
    /// <returns>Whether it is written: false if there is a file already.</returns>
    public bool TryWrite(string path)
    {
        var temporary = WriteBeside(path);
        try
        {
            File.Move(temporary, path, overwrite: false);
            return true;
        }
        catch (IOException) when (File.Exists(path))
        {
            File.Delete(temporary);
            return false;
        }
    }

    string WriteBeside(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var temporary = path + ".tmp";
        using var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None);
        JsonSerializer.Serialize(stream, this, s_json);
        stream.Flush(flushToDisk: true);
        return temporary;
    }

    /// <summary>The file at a path; null if there is none, or if it is not one of ours.</summary>
    public static CaptionFile? Read(string path)
    {
        try
        {
            return File.Exists(path) ? JsonSerializer.Deserialize<CaptionFile>(File.ReadAllBytes(path), s_json) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
