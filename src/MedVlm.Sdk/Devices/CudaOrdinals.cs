using System.Globalization;

namespace MedVlm.Devices;

/// <summary>
/// How CUDA counts the GPUs that NVML lists: CUDA_VISIBLE_DEVICES leaves some out and says their order, and without CUDA_DEVICE_ORDER the
/// fastest comes first (CUDA C++ Programming Guide, environment variables).
/// </summary>
internal static class CudaOrdinals
{
    const string VisibleDevices = "CUDA_VISIBLE_DEVICES";

    /// <summary>The GPUs that CUDA sees, each with its number there; if it sees none of those that there are, with that as a problem.</summary>
    /// <param name="all">NVML's list, in the order of the PCI bus.</param>
    /// <param name="variable">Environment variables.</param>
    /// <exception cref="MedVlmException">Unequal GPUs, and nothing says which comes first.</exception>
    public static GpuList Visible(GpuList all, Func<string, string?> variable)
    {
        var seen = Visible(all.Devices, variable);
        return all.Devices.Count > 0 && seen.Count == 0
            ? new GpuList(seen, [.. all.Problems, $"{VisibleDevices} is \"{variable(VisibleDevices)}\" and names none of this machine's GPUs."])
            : all with { Devices = seen };
    }

    static List<ComputeDevice> Visible(IReadOnlyList<ComputeDevice> gpus, Func<string, string?> variable)
    {
        // CUDA uses one instance of a GPU that is cut up (MIG), the first unless a UUID names another.
        var counted = gpus.Where((gpu, place) => !gpu.IsMigInstance || !gpus.Take(place).Any(other => other.IsMigInstance)).ToList();

        var visible = variable(VisibleDevices)?.Split(',', StringSplitOptions.TrimEntries);
        bool byNumber = visible is null || visible.Any(entry => int.TryParse(entry, NumberStyles.None, CultureInfo.InvariantCulture, out _));
        if (byNumber && variable("CUDA_DEVICE_ORDER") != "PCI_BUS_ID" && counted.DistinctBy(gpu => gpu.Name).Count() > 1)
            throw new MedVlmException(
                $"This machine has unequal GPUs ({string.Join(", ", counted.Select(gpu => gpu.Name).Distinct())}), and CUDA's order of them is not known: set the "
                + "environment variable CUDA_DEVICE_ORDER to PCI_BUS_ID, or CUDA_VISIBLE_DEVICES to the UUID of one, or the option Device to \"cpu\".");

        if (visible is null)
            return Numbered(counted);

        // As CUDA reads the list: up to the first entry that names no device.
        var seen = new List<ComputeDevice>();
        foreach (var entry in visible)
        {
            var gpu = int.TryParse(entry, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                ? counted.ElementAtOrDefault(number)
                : entry.Length == 0 ? null : gpus.FirstOrDefault(gpu => gpu.Id?.StartsWith(entry, StringComparison.Ordinal) == true);
            if (gpu is null)
                break;
            seen.Add(gpu);
        }
        return Numbered(seen);
    }

    static List<ComputeDevice> Numbered(IEnumerable<ComputeDevice> gpus) => [.. gpus.Select((gpu, ordinal) => gpu with { Ordinal = ordinal })];
}
