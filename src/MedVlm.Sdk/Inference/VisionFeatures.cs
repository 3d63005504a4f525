namespace MedVlm.Inference;

/// <summary>What the vision tower makes of a caption's images, in main memory.</summary>
/// <param name="Features">[features, width].</param>
/// <param name="CrossKeys">For each layer the keys of the cross-attention, the bytes of [K, features, d]; none without it, or where they are in a slot only.</param>
/// <param name="CrossValues">For each layer the values of the cross-attention, the bytes of [K, features, d]; none without it, or where they are in a slot only.</param>
internal sealed record VisionFeatures(float[] Features, byte[][] CrossKeys, byte[][] CrossValues)
{
    public VisionFeatures(float[] features) : this(features, [], []) { }

    public long Bytes => sizeof(float) * Features.LongLength + CrossKeys.Sum(keys => keys.LongLength) + CrossValues.Sum(values => values.LongLength);
}
