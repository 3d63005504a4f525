using MedVlm.Checkpoints;

namespace MedVlm.Models;

/// <summary>An output head that is stored although config.json says that it is the token embedding.</summary>
internal static class TiedHead
{
    const int Step = 1 << 30;

    /// <summary>Compares the two. Where they differ, releases of the reference differ too: some read the embedding, some the head.</summary>
    /// <param name="family">The family.</param>
    /// <param name="tensors">Its tensors.</param>
    /// <param name="embedding">Name of the token embedding.</param>
    /// <exception cref="CheckpointException">They differ.</exception>
    public static unsafe void Check(ModelFamily family, IReadOnlyDictionary<string, StoredTensor> tensors, string embedding)
    {
        if (family.TiedHead is not { } name || !tensors.TryGetValue(name, out var head))
            return;
        var tied = tensors[embedding];
        bool same = head.Dtype == tied.Dtype && head.Length == tied.Length;
        for (long at = 0; same && at < head.Length; at += Step)
        {
            int count = (int)Math.Min(Step, head.Length - at);
            same = new ReadOnlySpan<byte>(head.Data + at, count).SequenceEqual(new ReadOnlySpan<byte>(tied.Data + at, count));
        }
        if (!same)
            throw new CheckpointException(
                $"{head.File.FileName}: \"{name}\" differs from \"{embedding}\", but config.json has tie_word_embeddings true. Set it to false if the head was trained, or remove the head.");
    }
}
