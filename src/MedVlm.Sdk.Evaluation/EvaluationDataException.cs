namespace MedVlm.Evaluation;

/// <summary>Files for an evaluation are wrong: not UTF-8, malformed, ids that are missing or there twice.</summary>
/// <remarks>The message gives counts and the first offenders by line and id.</remarks>
public sealed class EvaluationDataException : MedVlmException
{
    /// <inheritdoc cref="MedVlmException(string, Exception?)"/>
    public EvaluationDataException(string message, Exception? innerException = null) : base(message, innerException) { }
}
