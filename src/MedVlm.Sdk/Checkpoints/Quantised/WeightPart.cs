using System.Diagnostics;

namespace MedVlm.Checkpoints.Quantised;

/// <summary>What a graph wants of a stored weight [out, in]: the weight itself, or a part of its quantised form.</summary>
internal enum WeightPart
{
    /// <summary>The weight in FP32.</summary>
    Float32,

    /// <summary>int8 [in, out]: whole numbers from -127 to 127, transposed, as integer matrix products want them.</summary>
    Int8,

    /// <summary>FP32 [out]: what an output channel's whole numbers are multiplied with.</summary>
    Int8Scale,

    /// <summary>uint8 [out, blocks, 16]: 32 numbers of 4 bits in each block, the first in the lower half of a byte (MatMulNBits).</summary>
    Int4,

    /// <summary>FP32 [out, blocks].</summary>
    Int4Scale,

    /// <summary>uint8 [out, (blocks + 1) / 2]: the number of 4 bits that means zero, the even block's in the lower half of a byte.</summary>
    Int4ZeroPoint,
}

internal static class WeightParts
{
    extension(WeightPart part)
    {
        /// <summary>Type of its elements.</summary>
        public TensorDtype Dtype => part switch
        {
            WeightPart.Int8 => TensorDtype.I8,
            WeightPart.Int4 or WeightPart.Int4ZeroPoint => TensorDtype.U8,
            _ => TensorDtype.F32,
        };

        /// <summary>Shape of this part of a weight [out, in].</summary>
        public long[] Shape(long outputs, long inputs) => part switch
        {
            WeightPart.Float32 => [outputs, inputs],
            WeightPart.Int8 => [inputs, outputs],
            WeightPart.Int8Scale => [outputs],
            WeightPart.Int4 => [outputs, Int4Quantiser.Blocks(inputs), Int4Quantiser.BlockBytes],
            WeightPart.Int4Scale => [outputs, Int4Quantiser.Blocks(inputs)],
            WeightPart.Int4ZeroPoint => [outputs, (Int4Quantiser.Blocks(inputs) + 1) / 2],
            _ => throw new UnreachableException(),
        };
    }
}
