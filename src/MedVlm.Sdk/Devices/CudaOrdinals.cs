using System.Globalization;

namespace MedVlm.Devices;

/// <summary>
/// How CUDA counts the GPUs that NVML lists. The driver tells; where it does not, CUDA_VISIBLE_DEVICES leaves some out and says their order, and
/// without CUDA_DEVICE_ORDER the fastest comes first (CUDA C++ Programming Guide, environment variables).
/// </summary>
internal static class CudaOrdinals
{
    const string VisibleDevices = "CUDA_VISIBLE_DEVICES";

    /// <summary>The GPUs that CUDA sees, each with its number there; if it sees none of those that there are, with that as a problem.</summary>
    /// <param name="all">NVML's list, in the order of the PCI bus.</param>
    /// <param name="variable">Environment variables.</param>
    /// <param name="visibleIds">What the driver tells: <see cref="CudaDriver.VisibleIds()"/>.</param>
    /// <exception cref="MedVlmException">Unequal GPUs, and nothing says which comes first.</exception>
    public static GpuList Visible(GpuList all, Func<string, string?> variable, Func<IReadOnlyList<string>?> visibleIds)
    {
        if (all.Devices.Count == 0)
            return all;

        var seen = ByDriver(all.Devices, visibleIds()) ?? ByVariables(all.Devices, variable);
        if (seen.Count > 0)
            return all with { Devices = seen };
        var why = "CUDA sees none of the GPUs that the driver lists"
            + (variable(VisibleDevices) is { } value ? $": {VisibleDevices} is \"{value}\", and may name none of them." : ".");
        return new GpuList(seen, [.. all.Problems, why]);
    }

    /// <summary>As the driver tells; null where it does not, or speaks of other devices than NVML (instances, with a driver of 2021 or older).</summary>
    static List<ComputeDevice>? ByDriver(IReadOnlyList<ComputeDevice> gpus, IReadOnlyList<string>? ids)
    {
        if (ids is null)
            return null;

        var seen = new List<ComputeDevice>();
        foreach (var (ordinal, id) in ids.Index())
            if (gpus.FirstOrDefault(gpu => gpu.Id?.EndsWith(id, StringComparison.OrdinalIgnoreCase) == true) is { } gpu)
                seen.Add(gpu with { Ordinal = ordinal });
        return seen.Count == 0 && ids.Count > 0 ? null : seen;
    }

    static List<ComputeDevice> ByVariables(IReadOnlyList<ComputeDevice> gpus, Func<string, string?> variable)
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

        // As CUDA reads the list: up to the first entry that names no device, several, or one that was named before.
        var seen = new List<ComputeDevice>();
        foreach (var entry in visible)
        {
            var named = int.TryParse(entry, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                ? counted.Skip(number).Take(1)
                : gpus.Where(gpu => entry.Length > 0 && gpu.Id?.StartsWith(entry, StringComparison.Ordinal) == true);
            if (named.ToList() is not [var gpu] || seen.Contains(gpu))
                break;
            seen.Add(gpu);
        }
        return Numbered(seen);
    }

    static List<ComputeDevice> Numbered(IEnumerable<ComputeDevice> gpus) => [.. gpus.Select((gpu, ordinal) => gpu with { Ordinal = ordinal })];
}
