using System.Buffers.Binary;
using System.Text;

namespace MedVlm.Tests.Checkpoints;

/// <summary>Writes the bytes of safetensors files, valid or not.</summary>
internal static class SafetensorsBytes
{
    /// <summary>A file with this header, its length in front, and this data.</summary>
    public static byte[] Of(string header, params byte[] data)
    {
        var json = Encoding.UTF8.GetBytes(header);
        var prefix = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, json.Length);
        return [.. prefix, .. json, .. data];
    }

    /// <summary>A valid file with one tensor.</summary>
    public static byte[] OneTensor(string name, string dtype, int[] shape, params byte[] data) =>
        Of($$$"""{"{{{name}}}":{"dtype":"{{{dtype}}}","shape":[{{{string.Join(",", shape)}}}],"data_offsets":[0,{{{data.Length}}}]}}""", data);
}
