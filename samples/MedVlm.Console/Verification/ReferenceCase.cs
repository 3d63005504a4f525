namespace MedVlm.ConsoleSample.Verification;

/// <summary>What the reference made of an image, or of several, for one prompt.</summary>
/// <param name="Name">Unique within its set.</param>
/// <param name="Images">Paths of the images.</param>
/// <param name="Prompt">What the model was asked; may be empty.</param>
/// <param name="MaxNewTokens">Tokens at most.</param>
/// <param name="GeneratedIds">The greedy tokens, the end-of-sequence token included where it was reached.</param>
/// <param name="Text">The tokens' text, special tokens left out.</param>
/// <param name="RepetitionPenalty">The penalty that the reference applied; 1 is none.</param>
/// <param name="SplitIntoTiles">Whether the reference cut the image into tiles; null is as the checkpoint says.</param>
/// <param name="NotExpressible">A setting of the case that this application has no option for, so that the case cannot be run; null usually.</param>
/// <param name="Length">How long a caption the reference was asked for; null is as the model does it.</param>
/// <param name="MaxCrops">How many crops the reference cut an image into at most; null is as the checkpoint says.</param>
internal sealed record ReferenceCase(
    string Name, IReadOnlyList<string> Images, string Prompt, int MaxNewTokens, IReadOnlyList<int> GeneratedIds, string Text,
    float RepetitionPenalty, bool? SplitIntoTiles, string? NotExpressible, CaptionLength? Length = null,
    int? MaxCrops = null)
{
    /// <summary>The request whose caption should be the reference's. Its id is the case's name.</summary>
    public CaptionRequest ToRequest() => new([.. Images.Select(path => MedicalImage.FromFile(path))])
    {
        Id = Name,
        Options = new CaptionOptions
        {
            Prompt = Prompt,
            MaxNewTokens = MaxNewTokens,
            RepetitionPenalty = RepetitionPenalty,
            Length = Length,
            ImageDetail = new ImageDetail { SplitIntoTiles = SplitIntoTiles, MaxCrops = MaxCrops },
        },
    };
}

/// <summary>Cases of one model.</summary>
/// <param name="Name">The family, or the folder.</param>
/// <param name="Checkpoint">The checkpoint's folder; null if the cases come without one.</param>
/// <param name="Cases">The cases.</param>
/// <param name="Tokenizer">The tokenizer's folder where it is not the checkpoint's; null usually.</param>
internal sealed record ReferenceSet(string Name, string? Checkpoint, IReadOnlyList<ReferenceCase> Cases, string? Tokenizer = null);
