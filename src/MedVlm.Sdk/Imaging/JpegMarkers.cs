using System.Buffers.Binary;

namespace MedVlm.Imaging;

/// <summary>What a JPEG file says about itself before its first scan.</summary>
internal static class JpegMarkers
{
    const byte StartOfScan = 0xDA, App14 = 0xEE;

    /// <summary>Whether there is an Adobe segment (APP14): libvips takes the ink of such a CMYK file for inverted, of others not.</summary>
    public static bool HasAdobe(ReadOnlySpan<byte> file)
    {
        for (int at = 2; at + 4 <= file.Length;)
        {
            if (file[at] != 0xFF)
                return false;
            byte marker = file[at + 1];
            if (marker == 0xFF)   // fill byte
            {
                at++;
                continue;
            }

            if (marker == StartOfScan)
                return false;
            int length = BinaryPrimitives.ReadUInt16BigEndian(file[(at + 2)..]);
            // As libjpeg: 12 bytes after the length field, beginning with the name.
            if (marker == App14 && length >= 2 + 12 && file[(at + 4)..].StartsWith("Adobe"u8))
                return true;
            at += 2 + length;
        }

        return false;
    }
}
