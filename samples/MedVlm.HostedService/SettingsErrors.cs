using Microsoft.Extensions.Options;

namespace MedVlm.HostedServiceSample;

/// <summary>Which errors at the start tell of wrong settings, or of a model that cannot be loaded.</summary>
internal static class SettingsErrors
{
    /// <summary>What to tell the user, a line for each fault; null for errors of another kind.</summary>
    public static string[]? Of(Exception error) => error switch
    {
        OptionsValidationException e => [.. e.Failures],
        AggregateException e when e.InnerExceptions.All(inner => Of(inner) is not null) => [.. e.InnerExceptions.SelectMany(inner => Of(inner)!)],
        MedVlmException e => [e.Message],
        // An argument like "-x=1", and a settings file that is no JSON.
        FormatException or InvalidDataException { InnerException: FormatException } => [error.Message],
        // A value that is not of its setting's type; the binder names both. Its cause tells it from other errors of this general type.
        InvalidOperationException { InnerException: FormatException or ArgumentException or OverflowException } e => [e.Message],
        _ => null,
    };
}
