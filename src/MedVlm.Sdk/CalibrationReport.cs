namespace MedVlm;

/// <summary>What a calibration has found: see <see cref="MedicalCaptioner.CalibrateAsync(MedicalCaptionerOptions, IEnumerable{MedicalImage}, IProgress{int}?, CancellationToken)"/>.</summary>
/// <param name="Model">The model's name.</param>
/// <param name="File">File of the cache that later loads take it from. It may be deleted at any time: loads are then as without a calibration.</param>
/// <param name="Images">Images that the model was run on.</param>
/// <param name="Layers">The linear layers, in groups that multiply the same values (query, key and value; gate and up): first the vision tower's.</param>
public sealed record CalibrationReport(string Model, string File, int Images, IReadOnlyList<CalibratedLayers> Layers);

/// <summary>Linear layers that multiply the same values.</summary>
/// <remarks>
/// An error is the norm of what a token's outputs are off by, over the norm of these outputs in FP32, as root mean square over tokens and layers. It is
/// measured with inputs as FP32 makes them, on the half of the images that factors and mean squares were not computed from; what makes it larger there is not taken.
/// </remarks>
/// <param name="Weights">Names of their weights in the checkpoint.</param>
public sealed record CalibratedLayers(IReadOnlyList<string> Weights)
{
    /// <summary>Whether a norm or linear layer before could make single channels smaller with nothing else changed.</summary>
    public required bool CanBeSmoothed { get; init; }

    /// <summary>Whether it does: the error in INT8 was at least 5 % smaller on the images that the choice was made by, and no larger on the others.</summary>
    public required bool IsSmoothed { get; init; }

    /// <summary>Error in INT8, weights and activations, without calibration.</summary>
    public required double Int8Error { get; init; }

    /// <summary>Error in INT8 as calibrated.</summary>
    public required double Int8CalibratedError { get; init; }

    /// <summary>Whether INT4 weighs its errors by the inputs that were seen: where its error was smaller on the images that the choice was made by, and no larger on the others.</summary>
    public required bool UsesMeanSquares { get; init; }

    /// <summary>Error of weights in INT4 without calibration.</summary>
    public required double Int4Error { get; init; }

    /// <summary>Error of weights in INT4 as calibrated.</summary>
    public required double Int4CalibratedError { get; init; }
}
