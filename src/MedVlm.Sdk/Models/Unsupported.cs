namespace MedVlm.Models;

/// <summary>Guards for settings that would change the arithmetic: an unknown one is refused rather than ignored.</summary>
internal static class Unsupported
{
    /// <exception cref="UnsupportedModelException">The setting is not one that this library computes.</exception>
    public static void Unless(bool supported, string key, string value)
    {
        if (!supported)
            throw new UnsupportedModelException(
                $"{key} is {value}, which this version of MedVlm.Sdk does not run: its captions would differ from the reference's. "
                + "Take a checkpoint of a supported family (docs/families lists them).");
    }

    /// <exception cref="UnsupportedModelException">The setting is there, and is not null.</exception>
    public static void UnlessNull(System.Text.Json.JsonElement? setting, string key) =>
        Unless(setting is null or { ValueKind: System.Text.Json.JsonValueKind.Null }, key, "set");
}
