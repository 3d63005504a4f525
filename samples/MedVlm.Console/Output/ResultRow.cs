using System.Text.Json;
using CsvHelper;

namespace MedVlm.ConsoleSample.Output;

/// <summary>One image in a results file: its caption, or its error. The members are the keys and columns, in snake_case and this order.</summary>
/// <remarks>Confidence is 0 to 1; Tokens counts what the model wrote. Text is null if the image failed, Error if it did not.</remarks>
[CsvRecord]   // the mapping is generated at compile time
internal sealed partial record ResultRow(
    string Id, string? Text, double? Confidence, string? Error, string? Model, string? Precision, string? FinishReason, int? Tokens,
    double? PreprocessMs, double? QueueMs, double? VisionMs, double? PrefillMs, double? DecodeMs)
{
    public static ResultRow Of(CaptionResult result) => result.Caption is { } caption
        ? new(
            result.Request.Id, caption.Text, Round(caption.Confidence, 4), null, caption.Model, Name(caption.Precision), Name(caption.FinishReason),
            caption.TokenIds.Count, Ms(caption.Timings.Preprocess), Ms(caption.Timings.Queue), Ms(caption.Timings.Vision),
            Ms(caption.Timings.Prefill), Ms(caption.Timings.Decode))
        : new(result.Request.Id, null, null, result.Error!.Message, null, null, null, null, null, null, null, null, null);

    static string Name(Enum value) => JsonNamingPolicy.SnakeCaseLower.ConvertName(value.ToString());

    static double Ms(TimeSpan time) => Math.Round(time.TotalMilliseconds, 2);

    static double? Round(double? value, int digits) => value is { } number ? Math.Round(number, digits) : null;
}
