using System.Diagnostics;

namespace MedVlm.Checkpoints.Quantised;

/// <summary>What a graph wants of a stored weight [out, in]: the weight itself, or a part of its quantised form.</summary>
internal enum WeightPart
{
    /// <summary>The weight in FP32.</summary>
    Float32,

    /// <summary>The weight in FP16; what is beyond its range is the largest number of it.</summary>
    Float16,

    /// <summary>int8 [in, out]: whole numbers from -127 to 127, transposed, as integer matrix products want them.</summary>
    Int8,

    /// <summary>FP32 [out]: what an output channel's whole numbers are multiplied with.</summary>
    Int8Scale,

    /// <summary>uint8 [out, blocks, 32]: numbers of 8 bits, 128 means zero (MatMulNBits).</summary>
    Int8Blocks,

    /// <summary>FP16 [out, blocks].</summary>
    Int8BlockScale,

    /// <summary>uint8 [out, blocks, 16]: 32 numbers of 4 bits in each block, the first in the lower half of a byte (MatMulNBits).</summary>
    Int4,

    /// <summary>FP32 [out, blocks].</summary>
    Int4Scale,

    /// <summary>FP16 [out, blocks].</summary>
    Int4Scale16,

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
            WeightPart.Int4 or WeightPart.Int4ZeroPoint or WeightPart.Int8Blocks => TensorDtype.U8,
            WeightPart.Float16 or WeightPart.Int8BlockScale or WeightPart.Int4Scale16 => TensorDtype.F16,
            _ => TensorDtype.F32,
        };

        /// <summary>Shape of this part of a weight [out, in].</summary>
        public long[] Shape(long outputs, long inputs) => part switch
        {
            WeightPart.Float32 or WeightPart.Float16 => [outputs, inputs],
            WeightPart.Int8 => [inputs, outputs],
            WeightPart.Int8Scale => [outputs],
            WeightPart.Int4 => [outputs, Int4Quantiser.Blocks(inputs), Int4Quantiser.BlockBytes],
            WeightPart.Int8Blocks => [outputs, Int4Quantiser.Blocks(inputs), Int4Quantiser.BlockSize],
            WeightPart.Int4Scale or WeightPart.Int4Scale16 or WeightPart.Int8BlockScale => [outputs, Int4Quantiser.Blocks(inputs)],
            WeightPart.Int4ZeroPoint => [outputs, (Int4Quantiser.Blocks(inputs) + 1) / 2],
            _ => throw new UnreachableException(),
        };
    }
}
