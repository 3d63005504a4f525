using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace MedVlm.Telemetry;

/// <summary>Names of OpenTelemetry's semantic conventions for generative AI, and what all measurements share.</summary>
/// <remarks>https://opentelemetry.io/docs/specs/semconv/gen-ai: still in development there, so names may change.</remarks>
internal static class GenAi
{
    /// <summary>Name of the meter and of the activity source.</summary>
    public const string SourceName = "MedVlm.Sdk";

    /// <summary>Images and text in, text out.</summary>
    public const string Operation = "generate_content";

    /// <summary>Who runs the model: this library.</summary>
    public const string Provider = "medvlm";

    public const string
        OperationName = "gen_ai.operation.name", ProviderName = "gen_ai.provider.name", RequestModel = "gen_ai.request.model",
        ResponseModel = "gen_ai.response.model", ErrorType = "error.type", TokenType = "gen_ai.token.type";

    /// <summary>Seconds.</summary>
    public static readonly InstrumentAdvice<double> Durations = new()
    {
        HistogramBucketBoundaries = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92],
    };

    /// <summary>Seconds to the first token. The convention's end at 10; vision towers on a CPU take longer.</summary>
    public static readonly InstrumentAdvice<double> FirstTokens = new()
    {
        HistogramBucketBoundaries = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80],
    };

    /// <summary>Seconds for a token.</summary>
    public static readonly InstrumentAdvice<double> NextTokens = new()
    {
        HistogramBucketBoundaries = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5],
    };

    /// <summary>Tokens.</summary>
    public static readonly InstrumentAdvice<int> Tokens = new()
    {
        HistogramBucketBoundaries = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864],
    };

    /// <summary>What an error is called: its type, never its message, which is for the one who asked.</summary>
    public static string ErrorTypeOf(Exception error) => error.GetType().FullName ?? error.GetType().Name;

    /// <summary>The attributes that every measurement has.</summary>
    public static TagList Tags(string? model, string? provider = null)
    {
        var tags = new TagList { { OperationName, Operation }, { ProviderName, provider ?? Provider } };
        if (!string.IsNullOrEmpty(model))
            tags.Add(RequestModel, model);
        return tags;
    }
}
