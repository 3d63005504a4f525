using MedVlm.Checkpoints;

namespace MedVlm.Inference;

/// <summary>
/// The token embedding [vocab, D], read row by row from the mapped file: it takes no device memory, and merging image features is a copy.
/// </summary>
internal sealed class TokenEmbeddings(StoredTensor table)
{
    readonly int _width = (int)table.Shape[1];

    /// <summary>The embedding of one token.</summary>
    public void Row(int tokenId, Span<float> destination) => Widen.RowToFloat32(table, tokenId, destination);

    /// <summary>Embeddings of a prompt, [T, D], each placeholder replaced by the next image feature.</summary>
    public void Merge(ReadOnlySpan<int> tokenIds, int imageTokenId, ReadOnlySpan<float> imageFeatures, Span<float> destination)
    {
        for (int t = 0; t < tokenIds.Length; t++)
        {
            var row = destination.Slice(t * _width, _width);
            if (tokenIds[t] == imageTokenId)
            {
                imageFeatures[.._width].CopyTo(row);
                imageFeatures = imageFeatures[_width..];
            }
            else
                Row(tokenIds[t], row);
        }
    }
}
