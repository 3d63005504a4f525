using System.Security.Cryptography;
using System.Text;
using MedVlm.Imaging;

namespace MedVlm.Inference;

/// <summary>What the images of a caption are known by: SHA-256 of their pixels, their sizes, and all else that bears on the vision tower's input.</summary>
/// <remarks>A cryptographic hash, as a mistaken match would put one patient's image into another's caption.</remarks>
internal sealed record ImageKey(string Sha256)
{
    /// <param name="images">The images, decoded, in their order.</param>
    /// <param name="detail">How finely the model looks at them.</param>
    public static ImageKey Of(IReadOnlyList<RgbImage> images, ImageDetail detail)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

        // A record's text has every member, also those to come.
        hash.AppendData(Encoding.UTF8.GetBytes($"{detail}\n{images.Count}\n"));
        foreach (var image in images)
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{image.Width} {image.Height}\n"));
            hash.AppendData(image.Pixels);
        }
        return new ImageKey(Convert.ToHexString(hash.GetHashAndReset()));
    }
}
