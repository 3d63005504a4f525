using System.Security.Cryptography;
using System.Text.Json;
using MedVlm.Evaluation.Reports;

namespace MedVlm.Evaluation.Ratings;

/// <summary>Captions that people are to rate: a page that is one file, whose answers are saved to a JSON file each.</summary>
/// <remarks>
/// A rater sees the image and the caption, and the references when asked for; neither id nor stratum nor any score. Immutable.
/// </remarks>
public sealed class RatingSheet
{
    const int ImageEdge = 640;

    /// <summary>Makes a sheet.</summary>
    /// <param name="title">What the page is called. It should not give away which model wrote the captions.</param>
    /// <param name="items">The captions, at least one, in the order in which they are shown; each id once.</param>
    /// <param name="scales">What is asked. Default: <see cref="RatingScale.Default"/>.</param>
    /// <exception cref="ArgumentException">No item, an id that occurs twice, no scale, or a key that is not as <see cref="RatingScale.Key"/> says.</exception>
    public RatingSheet(string title, IReadOnlyList<RatingItem> items, IReadOnlyList<RatingScale>? scales = null)
    {
        ArgumentNullException.ThrowIfNull(items);
        (Title, Items, Scales) = (title, items, scales ?? RatingScale.Default);
        if (items.Count == 0)
            throw new ArgumentException("A rating sheet needs at least one caption.", nameof(items));
        if (items.CountBy(item => item.Id).FirstOrDefault(id => id.Value > 1).Key is { } twice)
            throw new ArgumentException($"The id \"{twice}\" occurs more than once on the sheet.", nameof(items));
        if (Scales.Count == 0 || Scales.Any(scale => !scale.Key.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '_')) || Scales.DistinctBy(scale => scale.Key).Count() < Scales.Count)
            throw new ArgumentException("A rating sheet needs scales with keys of their own, of lower-case letters, digits and underscores.", nameof(scales));
        Id = Hash();
    }

    /// <summary>What the page is called.</summary>
    public string Title { get; }

    /// <summary>The captions, in the order in which they are shown.</summary>
    public IReadOnlyList<RatingItem> Items { get; }

    /// <summary>What is asked.</summary>
    public IReadOnlyList<RatingScale> Scales { get; }

    /// <summary>Tells this sheet from others: a hash of its captions and scales. Answers name it, so that they cannot be taken for those of another.</summary>
    public string Id { get; }

    /// <summary>Draws a sample and makes a sheet of it.</summary>
    /// <param name="title">What the page is called.</param>
    /// <param name="pairs">The captions to draw from.</param>
    /// <param name="strata">For each the name of its stratum.</param>
    /// <param name="size">How many to draw. Default: 500.</param>
    /// <param name="seed">Seed of the sample. Default: 0.</param>
    /// <param name="scales">What is asked. Default: <see cref="RatingScale.Default"/>.</param>
    /// <exception cref="ArgumentException">Not one stratum for each pair, or as the constructor says.</exception>
    public static RatingSheet Sample(
        string title, IReadOnlyList<CaptionPair> pairs, IReadOnlyList<string> strata, int size = 500, long seed = 0, IReadOnlyList<RatingScale>? scales = null)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        ArgumentNullException.ThrowIfNull(strata);
        if (pairs.Count != strata.Count)
            throw new ArgumentException($"{strata.Count} names of strata do not go with {pairs.Count} pairs.", nameof(strata));
        return new RatingSheet(
            title, [.. StratifiedSample.Draw(strata, size, seed).Select(i => new RatingItem(pairs[i].Id, strata[i], pairs[i].Candidate, pairs[i].References))], scales);
    }

    /// <summary>Writes the page.</summary>
    /// <param name="stream">Where to.</param>
    /// <param name="images">The images, which are scaled down to 640 pixels and become part of the page. Default: none.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <returns>How many of the items have their image.</returns>
    public async Task<int> WriteHtmlAsync(Stream stream, ImageFolder? images = null, CancellationToken cancellationToken = default)
    {
        var pictures = images is null
            ? new (Thumbnail? Image, string? Missing)[Items.Count]
            : await Thumbnail.OfAllAsync(images, [.. Items.Select(item => item.Id)], ImageEdge, cancellationToken).ConfigureAwait(false);
        await RatingPage.Of(this, pictures).WriteAsync(stream, cancellationToken).ConfigureAwait(false);
        return pictures.Count(picture => picture.Image is not null);
    }

    string Hash()
    {
        var content = JsonSerializer.SerializeToUtf8Bytes(new SheetContent(Scales, Items), RatingJson.Default.SheetContent);
        return Convert.ToHexStringLower(SHA256.HashData(content))[..16];
    }
}

/// <summary>A caption to rate.</summary>
/// <param name="Id">The image's key.</param>
/// <param name="Stratum">Stratum that it was drawn from; the rater does not see it.</param>
/// <param name="Caption">The caption.</param>
/// <param name="References">Captions by people, shown on demand.</param>
public sealed record RatingItem(string Id, string Stratum, string Caption, IReadOnlyList<string> References);

/// <summary>What a sheet's id is the hash of.</summary>
internal sealed record SheetContent(IReadOnlyList<RatingScale> Scales, IReadOnlyList<RatingItem> Items);
