using System.ComponentModel.DataAnnotations;
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
    public static void ThrowIfInvalid(CaptionOptions options) =>
        Throw(new CaptionOptionsValidator().Validate(null, options), options.GetType());

    static void Throw(ValidateOptionsResult result, Type type)
    {
        if (result.Failed)
            throw new OptionsValidationException("", type, result.Failures);
    }
}

/// <summary>No empty text in a list of stop sequences: every text begins with it.</summary>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class NoEmptyTextAttribute() : ValidationAttribute("A stop sequence is empty, which every text begins with.")
{
    public override bool IsValid(object? value) => value is IEnumerable<string> texts && !texts.Any(string.IsNullOrEmpty);
}

/// <summary>An image's fewest pixels are not more than its most.</summary>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class PixelBoundsInOrderAttribute() : ValidationAttribute("MinPixels is larger than MaxPixels.")
{
    public override bool IsValid(object? value) => value is not ImageDetail { MinPixels: { } min, MaxPixels: { } max } || min <= max;
}
