namespace MedVlm.Evaluation.Ratings;

/// <summary>A question that a rater answers with a grade from 1 to 5.</summary>
/// <param name="Key">Its name in files: lower-case letters, digits and underscores.</param>
/// <param name="Label">Its name on the page.</param>
/// <param name="Question">What is asked.</param>
/// <param name="Lowest">What 1 means.</param>
/// <param name="Highest">What 5 means.</param>
public sealed record RatingScale(string Key, string Label, string Question, string Lowest, string Highest)
{
    /// <summary>The lowest grade.</summary>
    public const int Least = 1;

    /// <summary>The highest grade.</summary>
    public const int Most = 5;

    /// <summary>Correctness, completeness and fluency.</summary>
    public static IReadOnlyList<RatingScale> Default { get; } =
    [
        new("correctness", "Correctness", "Is what the caption says true of the image?", "wrong throughout", "all of it true"),
        new("completeness", "Completeness", "Does it name what matters: modality, region, view, main finding?", "nothing that matters", "all that matters"),
        new("fluency", "Fluency", "Does it read as a radiologist would write?", "not understandable", "as written by an expert"),
    ];
}
