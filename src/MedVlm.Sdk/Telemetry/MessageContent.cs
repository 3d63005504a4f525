using System.Text;
using System.Text.Json;

namespace MedVlm.Telemetry;

/// <summary>Prompt and caption in the form that the conventions give to messages; only where the application asks for them.</summary>
internal static class MessageContent
{
    public static string User(string prompt, int images) => Write("user", writer =>
    {
        for (int i = 0; i < images; i++)
        {
            // The images themselves are too large for a span.
            writer.WriteStartObject();
            writer.WriteString("type", "blob");
            writer.WriteString("modality", "image");
            writer.WriteEndObject();
        }
        Text(writer, prompt);
    });

    public static string Assistant(string caption) => Write("assistant", writer => Text(writer, caption));

    static string Write(string role, Action<Utf8JsonWriter> parts)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
        {
            writer.WriteStartArray();
            writer.WriteStartObject();
            writer.WriteString("role", role);
            writer.WriteStartArray("parts");
            parts(writer);
            writer.WriteEndArray();
            writer.WriteEndObject();
            writer.WriteEndArray();
        }
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    static void Text(Utf8JsonWriter writer, string content)
    {
        writer.WriteStartObject();
        writer.WriteString("type", "text");
        writer.WriteString("content", content);
        writer.WriteEndObject();
    }
}
