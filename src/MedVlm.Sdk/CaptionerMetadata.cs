using System.Text;
using System.Text.Json.Serialization;

namespace MedVlm;

/// <summary>What stands behind a captioner; <c>captioner.GetService(typeof(CaptionerMetadata))</c> gives it.</summary>
/// <param name="Model">The model, as it was named when it was loaded.</param>
/// <param name="Precision">The precision that it runs in.</param>
/// <param name="DefaultPrompt">Prompt of a request that brings none.</param>
/// <param name="Notice">What whoever packed the model wants its users to read, such as that it is not for clinical use; null if nothing.</param>
public sealed record CaptionerMetadata(string Model, Precision Precision, string DefaultPrompt, string? Notice = null)
{
    /// <summary>The LoRA adapter in its weights, as it was named; null if none.</summary>
    public string? Adapter { get; init; }

    /// <summary>Where it runs: "CPU (X64, 8 cores)", or a GPU's name; null if that is not known.</summary>
    public string? Device { get; init; }

    /// <summary>What runs it, and its version: "ONNX Runtime 1.31.1"; null if that is not known.</summary>
    public string? Runtime { get; init; }

    /// <summary>
    /// SHA-256 over the files that the captions depend on, and a calibration that they are made with, as lower-case hex: the same wherever the checkpoint lies and whatever it is
    /// called. Computed at the first use, which reads all weights once (seconds for each few GB), and kept for the next process.
    /// Null for a backend that does not tell.
    /// </summary>
    /// <exception cref="CheckpointException">The checkpoint's files cannot be read any more.</exception>
    [JsonIgnore]
    public string? ContentHash => Content?.Invoke();

    internal Func<string>? Content { get; init; }

    /// <summary>What captions are like whose request does not say; null where that is not known.</summary>
    internal CaptionOptions? DefaultCaption { get; init; }

    // As the compiler writes it, but for the content hash: a log line must not read all weights.
    bool PrintMembers(StringBuilder builder)
    {
        builder.Append($"Model = {Model}, Precision = {Precision}, DefaultPrompt = {DefaultPrompt}, Notice = {Notice}, ");
        builder.Append($"Adapter = {Adapter}, Device = {Device}, Runtime = {Runtime}");
        return true;
    }
}
