namespace MedVlm;

/// <summary>What stands behind a captioner; <c>captioner.GetService(typeof(CaptionerMetadata))</c> gives it.</summary>
/// <param name="Model">The model, as it was named when it was loaded.</param>
/// <param name="Precision">The precision that it runs in.</param>
/// <param name="DefaultPrompt">Prompt of a request that brings none.</param>
/// <param name="Notice">What whoever packed the model wants its users to read, such as that it is not for clinical use; null if nothing.</param>
public sealed record CaptionerMetadata(string Model, Precision Precision, string DefaultPrompt, string? Notice = null);
