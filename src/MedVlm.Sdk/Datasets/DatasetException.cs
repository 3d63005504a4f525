namespace MedVlm;

/// <summary>A data set, or one of its rows, cannot be read: a file is missing or damaged, or does not hold what its layout asks for.</summary>
/// <remarks>
/// Thrown where the data set as a whole cannot be read on. A single bad row ends nothing: it is an item whose image fails with this
/// error when it is captioned. Messages name files of the data set and rows, never images.
/// </remarks>
public sealed class DatasetException : MedVlmException
{
    /// <inheritdoc cref="MedVlmException(string, Exception?)"/>
    public DatasetException(string message, Exception? innerException = null) : base(message, innerException) { }
}
