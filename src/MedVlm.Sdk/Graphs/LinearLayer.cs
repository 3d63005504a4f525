namespace MedVlm.Graphs;

/// <summary>A linear layer of a graph: which stored tensors it takes, and between which values it lies.</summary>
/// <param name="Weight">Name of the weight [out, in] in the checkpoint.</param>
/// <param name="Bias">Name of the bias [out]; null where there is none.</param>
/// <param name="Input">The value that it multiplies.</param>
/// <param name="Inputs">in.</param>
/// <param name="Output">Its result, bias included.</param>
/// <param name="Outputs">out.</param>
internal sealed record LinearLayer(string Weight, string? Bias, string Input, int Inputs, string Output, int Outputs);
