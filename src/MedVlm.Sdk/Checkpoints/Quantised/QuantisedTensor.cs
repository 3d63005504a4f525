namespace MedVlm.Checkpoints.Quantised;

/// <summary>A tensor of the quantised form of a checkpoint, and what it is made from.</summary>
/// <param name="Name">Its own name.</param>
/// <param name="Source">The stored weight.</param>
/// <param name="Delta">What an adapter adds to the weight; null for nothing.</param>
/// <param name="Part">What is made of the weight.</param>
/// <param name="Shape">Shape of the result.</param>
internal sealed record QuantisedTensor(string Name, StoredTensor Source, LoraDelta? Delta, WeightPart Part, long[] Shape)
{
    /// <summary>Name of the weight in the model, which may have given tensors of a companion checkpoint names of its own.</summary>
    public string StoredName { get; init; } = Source.Name;

    /// <summary>Gain of the norm that makes what the weight multiplies, [in]; null where none is known. INT4 weighs its errors by it.</summary>
    public StoredTensor? Gain { get; init; }

    /// <summary>Shift of that norm; null where it has none.</summary>
    public StoredTensor? Shift { get; init; }

    /// <summary>What the weights of each input are multiplied by before anything is made of them, [in]; null for nothing.</summary>
    public float[]? Columns { get; init; }

    /// <summary>What each row is divided by, after that, [out]; null for nothing.</summary>
    public float[]? Rows { get; init; }

    /// <summary>Measured mean square of each input, [in], by which INT4 weighs its errors rather than by the norm; null where none was measured.</summary>
    public float[]? MeanSquares { get; init; }

    /// <summary>Bytes of the result.</summary>
    public long Length { get; } = Shape.Aggregate((long)Part.Dtype.Bits / 8, (bytes, size) => checked(bytes * size));
}
