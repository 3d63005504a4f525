namespace MedVlm.ConsoleSample;

/// <summary>The command line asks for something that cannot be done. The message is for the user.</summary>
internal sealed class UsageException(string message) : Exception(message);
