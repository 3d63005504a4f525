namespace MedVlm.Models;

/// <summary>What transformers 5 writes in place of the keys <c>rope_theta</c> and <c>rope_scaling</c>.</summary>
/// <param name="RopeTheta">Base of the angles.</param>
/// <param name="RopeType">"default" for plain rotary embedding.</param>
internal sealed record RopeParameters(double? RopeTheta = null, string RopeType = "default")
{
    /// <exception cref="UnsupportedModelException">They ask for scaled angles.</exception>
    public static void Check(RopeParameters? parameters, string prefix) =>
        Unsupported.Unless(parameters is null or { RopeType: "default" }, $"{prefix}rope_parameters.rope_type", $"\"{parameters?.RopeType}\"");
}
