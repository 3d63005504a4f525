using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace MedVlm.Datasets;

/// <summary>The lines of a job's files: captions and failures as JSON objects.</summary>
internal static class JobLines
{
    // "H&E" and "胸部" stay readable: nobody puts these files into a web page.
    static readonly JsonWriterOptions s_json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>A caption. Times in milliseconds.</summary>
    public static ReadOnlySpan<byte> Caption(ArrayBufferWriter<byte> buffer, string id, Caption caption, string? imageKey)
    {
        buffer.ResetWrittenCount();
        using (var json = new Utf8JsonWriter(buffer, s_json))
        {
            json.WriteStartObject();
            json.WriteString("id"u8, id);
            json.WriteString("caption"u8, caption.Text);
            json.WriteNumber("tokens"u8, caption.TokenIds.Count);
            json.WriteString("finish_reason"u8, Name(caption.FinishReason));
            if (caption.Confidence is { } confidence && double.IsFinite(confidence))
                json.WriteNumber("confidence"u8, Math.Round(confidence, 4));
            json.WriteNumber("preprocess_ms"u8, Ms(caption.Timings.Preprocess));
            json.WriteNumber("queue_ms"u8, Ms(caption.Timings.Queue));
            json.WriteNumber("vision_ms"u8, Ms(caption.Timings.Vision));
            json.WriteNumber("prefill_ms"u8, Ms(caption.Timings.Prefill));
            json.WriteNumber("decode_ms"u8, Ms(caption.Timings.Decode));
            if (imageKey is not null)
                json.WriteString("image_sha256"u8, imageKey);
            json.WriteEndObject();
        }
        return WithLineEnd(buffer);
    }

    /// <summary>A failure, and whether it was the image's own fault.</summary>
    public static ReadOnlySpan<byte> Failure(ArrayBufferWriter<byte> buffer, CaptionJobFailure failure, bool damaged)
    {
        buffer.ResetWrittenCount();
        using (var json = new Utf8JsonWriter(buffer, s_json))
        {
            json.WriteStartObject();
            json.WriteString("id"u8, failure.Id);
            json.WriteString("error"u8, failure.Error);
            json.WriteString("message"u8, failure.Message);
            json.WriteNumber("attempts"u8, failure.Attempts);
            json.WriteBoolean("damaged"u8, damaged);
            json.WriteEndObject();
        }
        return WithLineEnd(buffer);
    }

    /// <summary>Reads the id and the caption of a line; null if the line is none of a caption.</summary>
    public static (string Id, string Caption)? ReadCaption(ReadOnlySpan<byte> line)
    {
        string? id = null, caption = null;
        return Read(line, (ref Utf8JsonReader json, string key) =>
        {
            if (key == "id" && json.TokenType == JsonTokenType.String)
                id = json.GetString();
            else if (key == "caption" && json.TokenType == JsonTokenType.String)
                caption = json.GetString();
        }) && !string.IsNullOrEmpty(id) && caption is not null ? (id, caption) : null;
    }

    /// <summary>Reads a line of the file of failures; null if the line is none.</summary>
    public static (CaptionJobFailure Failure, bool Damaged)? ReadFailure(ReadOnlySpan<byte> line)
    {
        string? id = null, error = null, message = null;
        int attempts = 0;
        bool damaged = false;
        return Read(line, (ref Utf8JsonReader json, string key) =>
        {
            if (key is "id" or "error" or "message" && json.TokenType == JsonTokenType.String)
                _ = key == "id" ? id = json.GetString() : key == "error" ? error = json.GetString() : message = json.GetString();
            else if (key == "attempts" && json.TokenType == JsonTokenType.Number)
                json.TryGetInt32(out attempts);
            else if (key == "damaged" && json.TokenType == JsonTokenType.True)
                damaged = true;
        }) && !string.IsNullOrEmpty(id) && error is not null && attempts > 0 ? (new(id, error, message ?? "", attempts), damaged) : null;
    }

    delegate void Take(ref Utf8JsonReader json, string key);

    static bool Read(ReadOnlySpan<byte> line, Take take)
    {
        try
        {
            var json = new Utf8JsonReader(line);
            if (!json.Read() || json.TokenType != JsonTokenType.StartObject)
                return false;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var key = json.GetString()!;
                json.Read();
                take(ref json, key);
                json.Skip();
            }
            return json.TokenType == JsonTokenType.EndObject && !json.Read();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    static ReadOnlySpan<byte> WithLineEnd(ArrayBufferWriter<byte> buffer)
    {
        buffer.Write("\n"u8);
        return buffer.WrittenSpan;
    }

    static string Name(Enum value) => JsonNamingPolicy.SnakeCaseLower.ConvertName(value.ToString());

    static double Ms(TimeSpan time) => Math.Round(time.TotalMilliseconds, 2);
}
