namespace MedVlm;

/// <summary>One image of a data set.</summary>
/// <param name="Id">What the data set calls it. Not empty. A row without an id gets one from its place: "line 17".</param>
/// <param name="Image">The image, which is opened when it is captioned. That of a bad row fails there, with a <see cref="DatasetException"/>.</param>
public sealed record DatasetItem(string Id, MedicalImage Image)
{
    /// <summary>The caption that the data set has for it; null if none.</summary>
    public string? ReferenceCaption { get; init; }

    /// <summary>What the model is asked about this image; null for the prompt of the job.</summary>
    public string? Prompt { get; init; }

    /// <summary>An item for a row that names no image that may be read.</summary>
    internal static DatasetItem Bad(string id, string fault) => new(id, MedicalImage.Failing(new DatasetException(fault)));
}
