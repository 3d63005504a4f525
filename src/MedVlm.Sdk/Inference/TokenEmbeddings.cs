using System.Numerics.Tensors;
using MedVlm.Checkpoints;
using MedVlm.Models;

namespace MedVlm.Inference;

/// <summary>
/// The token embedding [vocab, D], read row by row from the mapped file: it takes no device memory, and merging image features is a copy.
/// </summary>
/// <param name="tokens">The table.</param>
/// <param name="positions">Learned positions [positions, D] that are added; null where the family has none.</param>
internal sealed class TokenEmbeddings(StoredTensor tokens, StoredTensor? positions)
{
    readonly int _width = (int)tokens.Shape[1];

    /// <summary>The embedding of one token.</summary>
    /// <param name="tokenId">The token.</param>
    /// <param name="position">Its place in the sequence.</param>
    /// <param name="destination">Receives D values.</param>
    public void Row(int tokenId, int position, Span<float> destination)
    {
        Widen.RowToFloat32(tokens, tokenId, destination);
        if (positions is null)
            return;

        Span<float> learned = _width <= 4096 ? stackalloc float[_width] : new float[_width];
        Widen.RowToFloat32(positions, position, learned);
        TensorPrimitives.Add(destination, learned, destination);
    }

    /// <summary>Embeddings of a run of tokens, [T, D], each placeholder replaced by the next image feature.</summary>
    /// <param name="family">Tells placeholders from tokens.</param>
    /// <param name="tokenIds">The run.</param>
    /// <param name="first">Place of its first token in the sequence.</param>
    /// <param name="imageFeatures">Features that are still to be placed; what the run takes is cut off.</param>
    /// <param name="destination">Receives T·D values.</param>
    public void Merge(ModelFamily family, ReadOnlySpan<int> tokenIds, int first, ref ReadOnlySpan<float> imageFeatures, Span<float> destination)
    {
        for (int t = 0; t < tokenIds.Length; t++)
        {
            var row = destination.Slice(t * _width, _width);
            if (family.IsPlaceholder(tokenIds[t]))
            {
                imageFeatures[.._width].CopyTo(row);
                imageFeatures = imageFeatures[_width..];
            }
            else
                Row(tokenIds[t], first + t, row);
        }
    }
}
