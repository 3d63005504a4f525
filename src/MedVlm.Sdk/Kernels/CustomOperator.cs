using MedVlm.Graphs;

namespace MedVlm.Kernels;

/// <summary>An operator of this library that graphs use beside those of ONNX Runtime; it runs on the CPU.</summary>
/// <param name="name">Its name in <see cref="CustomOperators.Domain"/>.</param>
/// <param name="inputs">Types of its inputs.</param>
/// <param name="outputs">Types of its outputs.</param>
/// <param name="optional">How many of the inputs, the last ones, may be left out.</param>
internal abstract class CustomOperator(string name, ElementType[] inputs, ElementType[] outputs, int optional = 0)
{
    public string Name => name;

    public IReadOnlyList<ElementType> Inputs => inputs;

    public IReadOnlyList<ElementType> Outputs => outputs;

    public bool IsOptional(int input) => input >= inputs.Length - optional;

    /// <summary>Makes the kernel of a node.</summary>
    /// <param name="info">The node's attributes, for <see cref="OrtApi"/>.</param>
    public abstract CustomKernel CreateKernel(nint info);
}

/// <summary>A node of a graph that computes with a <see cref="CustomOperator"/>.</summary>
internal abstract class CustomKernel
{
    /// <summary>Computes the outputs; several threads may do so at once.</summary>
    public abstract void Compute(KernelContext context);
}
