using System.Text.Encodings.Web;
using System.Text.Json;

namespace MedVlm.ConsoleSample.Output;

/// <summary>One JSON object a line.</summary>
internal sealed class JsonLinesFile(Stream stream) : ResultFile
{
    static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,   // "H&E" and "胸部" stay readable; nobody puts this into a page
    };

    public override async Task WriteAsync(ResultRow row)
    {
        await stream.WriteAsync((byte[])[.. JsonSerializer.SerializeToUtf8Bytes(row, s_json), (byte)'\n']);
        await stream.FlushAsync();
    }

    public override ValueTask DisposeAsync() => stream.DisposeAsync();
}
