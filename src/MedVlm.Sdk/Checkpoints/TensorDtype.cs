using System.Diagnostics;

namespace MedVlm.Checkpoints;

/// <summary>Element types of safetensors 0.8, under their stored names in C# case.</summary>
internal enum TensorDtype
{
    Bool, F4, F6E2M3, F6E3M2, U8, I8, F8E5M2, F8E4M3, F8E8M0, F8E4M3Fnuz, F8E5M2Fnuz,
    I16, U16, F16, BF16, I32, U32, F32, C64, F64, I64, U64,
}

internal static class TensorDtypes
{
    static readonly (TensorDtype Dtype, string Name, int Bits)[] Table =
    [
        (TensorDtype.Bool, "BOOL", 8),
        (TensorDtype.F4, "F4", 4),
        (TensorDtype.F6E2M3, "F6_E2M3", 6),
        (TensorDtype.F6E3M2, "F6_E3M2", 6),
        (TensorDtype.U8, "U8", 8),
        (TensorDtype.I8, "I8", 8),
        (TensorDtype.F8E5M2, "F8_E5M2", 8),
        (TensorDtype.F8E4M3, "F8_E4M3", 8),
        (TensorDtype.F8E8M0, "F8_E8M0", 8),
        (TensorDtype.F8E4M3Fnuz, "F8_E4M3FNUZ", 8),
        (TensorDtype.F8E5M2Fnuz, "F8_E5M2FNUZ", 8),
        (TensorDtype.I16, "I16", 16),
        (TensorDtype.U16, "U16", 16),
        (TensorDtype.F16, "F16", 16),
        (TensorDtype.BF16, "BF16", 16),
        (TensorDtype.I32, "I32", 32),
        (TensorDtype.U32, "U32", 32),
        (TensorDtype.F32, "F32", 32),
        (TensorDtype.C64, "C64", 64),
        (TensorDtype.F64, "F64", 64),
        (TensorDtype.I64, "I64", 64),
        (TensorDtype.U64, "U64", 64),
    ];

    extension(TensorDtype dtype)
    {
        /// <summary>Bits of one element; below 8 for the packed types.</summary>
        public int Bits => Row(dtype).Bits;

        /// <summary>The name in a safetensors header, as "BF16".</summary>
        public string StoredName => Row(dtype).Name;
    }

    /// <summary>The type with this stored name. Case counts, as in the reference.</summary>
    public static bool TryParse(string name, out TensorDtype dtype)
    {
        foreach (var row in Table)
            if (row.Name == name)
            {
                dtype = row.Dtype;
                return true;
            }
        dtype = default;
        return false;
    }

    static (TensorDtype Dtype, string Name, int Bits) Row(TensorDtype dtype)
    {
        var row = Table[(int)dtype];
        return row.Dtype == dtype ? row : throw new UnreachableException($"The table of types is out of order at {dtype}.");
    }
}
