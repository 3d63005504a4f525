using System.Text.Json;
using System.Text.Json.Serialization;

namespace MedVlm.Evaluation.Ratings;

/// <summary>One rater's answers, as the sheet saves them. The members are those of the JSON file, in snake_case.</summary>
/// <param name="Format">Layout of the file: <see cref="CurrentFormat"/>.</param>
/// <param name="Sheet">Id of the sheet.</param>
/// <param name="Rater">Who rated.</param>
/// <param name="Scales">Keys of the scales.</param>
/// <param name="Items">The captions with an answer; others are missing.</param>
public sealed record RatingAnswers(string Format, string Sheet, string Rater, IReadOnlyList<string> Scales, IReadOnlyList<RatedItem> Items)
{
    /// <summary>What the file says of its own layout.</summary>
    public const string CurrentFormat = "medvlm-ratings/1";

    /// <summary>Reads and checks a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <exception cref="RatingFileException">The file is missing, no such file, or holds what no sheet saves.</exception>
    public static async Task<RatingAnswers> ReadAsync(string path, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        RatingAnswers? answers;
        try
        {
            answers = JsonSerializer.Deserialize(await File.ReadAllBytesAsync(path, cancellationToken).ConfigureAwait(false), RatingJson.Default.RatingAnswers);
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new RatingFileException($"{path} cannot be read as a rater's answers: {e.Message} Give a file that the rating sheet saved.", e);
        }

        if (answers is not { Format: CurrentFormat })
            throw new RatingFileException($"{path} says that its format is \"{answers?.Format}\", not \"{CurrentFormat}\". Give a file that the rating sheet saved.");
        if (answers.Problem() is { } problem)
            throw new RatingFileException($"{path}: {problem} Load it into the rating sheet and save it again.");
        return answers;
    }

    string? Problem()
    {
        if (Scales.Any(scale => scale is null) || Items.Any(item => item is null))
            return "a scale or an item is null.";
        if (string.IsNullOrWhiteSpace(Rater))
            return "the rater has no name.";
        if (Items.CountBy(item => item.Id).FirstOrDefault(id => id.Value > 1).Key is { } twice)
            return $"item \"{twice}\" occurs more than once.";
        foreach (var item in Items)
            foreach (var (scale, grade) in item.Scores)
            {
                if (!Scales.Contains(scale))
                    return $"item \"{item.Id}\" is rated on \"{scale}\", which is none of the file's scales.";
                if (grade is < RatingScale.Least or > RatingScale.Most)
                    return $"item \"{item.Id}\" has the grade {grade} for {scale}; grades are {RatingScale.Least} to {RatingScale.Most}.";
            }
        return null;
    }
}

/// <summary>A rater's answers for one caption.</summary>
/// <param name="Id">The image's key.</param>
/// <param name="Scores">Grades from 1 to 5 by scale; a scale without one was not answered.</param>
/// <param name="Stratum">Stratum that it was drawn from.</param>
/// <param name="CannotJudge">The rater says that it cannot be judged. Its grades, if any, do not count.</param>
/// <param name="ReferenceShown">The rater looked at the reference.</param>
/// <param name="Comment">What the rater wrote.</param>
public sealed record RatedItem(
    string Id, IReadOnlyDictionary<string, int> Scores, string Stratum = "", bool CannotJudge = false, bool ReferenceShown = false, string? Comment = null);

/// <summary>A rater's file is missing, damaged, or does not go with the others.</summary>
public sealed class RatingFileException : MedVlmException
{
    /// <inheritdoc cref="MedVlmException(string, Exception?)"/>
    public RatingFileException(string message, Exception? innerException = null) : base(message, innerException) { }
}

/// <summary>Sheets, answers and summaries as JSON, by code that is generated at compile time.</summary>
[JsonSerializable(typeof(RatingAnswers))]
[JsonSerializable(typeof(RatingSummary))]
[JsonSerializable(typeof(SheetContent))]
[JsonSerializable(typeof(SheetData))]
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
internal sealed partial class RatingJson : JsonSerializerContext;
