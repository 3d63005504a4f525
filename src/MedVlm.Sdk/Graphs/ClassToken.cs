namespace MedVlm.Graphs;

internal static class ClassTokenWords
{
    /// <summary>Patches of one image with the class embedding in front of them, [1, P, C] to [1, P + 1, C].</summary>
    /// <param name="patches">The patches.</param>
    /// <param name="classEmbedding">[1, 1, C].</param>
    public static Tensor BehindClassToken(this Tensor patches, Tensor classEmbedding) =>
        patches.Graph.Node("Concat", [classEmbedding, patches], patches.Width, [("axis", 1)]);
}
