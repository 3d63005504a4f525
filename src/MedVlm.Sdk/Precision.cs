namespace MedVlm;

/// <summary>Number format of the weights and the arithmetic.</summary>
public enum Precision
{
    /// <summary>The best that the device runs. On a CPU: <see cref="Fp32"/>.</summary>
    Auto,

    /// <summary>32-bit floating point; stored 16-bit weights are widened once, at load.</summary>
    Fp32,
}
