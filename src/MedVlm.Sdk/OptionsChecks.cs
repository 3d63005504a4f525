using Microsoft.Extensions.Options;

namespace MedVlm;

/// <summary>Checks of the attributes on the options, written at compile time (no reflection).</summary>
[OptionsValidator]
internal sealed partial class MedicalCaptionerOptionsValidator : IValidateOptions<MedicalCaptionerOptions>;

/// <inheritdoc cref="MedicalCaptionerOptionsValidator"/>
[OptionsValidator]
internal sealed partial class CaptionOptionsValidator : IValidateOptions<CaptionOptions>;

internal static class OptionsChecks
{
    /// <exception cref="OptionsValidationException">An option is out of its range.</exception>
    public static void ThrowIfInvalid(MedicalCaptionerOptions options) =>
        Throw(new MedicalCaptionerOptionsValidator().Validate(null, options), options.GetType());

    /// <exception cref="OptionsValidationException">An option is out of its range.</exception>
    public static void ThrowIfInvalid(CaptionOptions options)
    {
        Throw(new CaptionOptionsValidator().Validate(null, options), options.GetType());
        if (options.ImageDetail is { MinPixels: { } min, MaxPixels: { } max } && min > max)
            throw new OptionsValidationException("", typeof(CaptionOptions), [$"ImageDetail: MinPixels is {min} and MaxPixels {max}, but the first must not be larger."]);
        if (options.StopSequences.Any(string.IsNullOrEmpty))
            throw new OptionsValidationException("", typeof(CaptionOptions), ["StopSequences: a stop sequence is empty, which every text begins with."]);
    }

    static void Throw(ValidateOptionsResult result, Type type)
    {
        if (result.Failed)
            throw new OptionsValidationException("", type, result.Failures);
    }
}
