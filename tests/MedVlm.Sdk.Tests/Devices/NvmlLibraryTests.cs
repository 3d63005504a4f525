using MedVlm.Devices;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Devices;

/// <summary>The calls into NVIDIA's library, against one that the test builds: nvml_stub.c.</summary>
public sealed class NvmlLibraryTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Reads_cards_instances_and_the_failure_of_one_of_each()
    {
        using var nvml = NvmlLibrary.TryOpen([_folder.File("not there.so"), Build()], out _);

        var found = GpuDetector.Detect(nvml!);

        Assert.Equal(
            [("NVIDIA GeForce RTX 5080", 16_303L << 20, 15_902L << 20, "12.0", false), ("NVIDIA H100 MIG 1g.10gb", 9_984L << 20, 9_583L << 20, "9.0", true)],
            found.Devices.Select(gpu => (gpu.Name, gpu.TotalMemoryBytes, gpu.FreeMemoryBytes, $"{gpu.ComputeCapability}", gpu.IsMigInstance)));
        Assert.Equal(("GPU-6d766c6d-0123-4567-0000-000000000001", "580.65.06"), (found.Devices[0].Id, found.Devices[0].DriverVersion));
        const string Why = "is left out. nvmlDeviceGetMemoryInfo_v2: the GPU has fallen off the bus or is otherwise inaccessible.";
        Assert.Equal([$"Instance 3 of GPU 1 (MIG) {Why}", $"GPU 2 {Why}"], found.Problems);
    }

    [Fact]
    public void An_old_driver_is_asked_by_its_old_functions()
    {
        using var nvml = NvmlLibrary.TryOpen([Build("OLD_DRIVER")], out _);

        var found = GpuDetector.Detect(nvml!);

        Assert.Equal([15_902L << 20, 15_902L << 20], found.Devices.Select(gpu => gpu.FreeMemoryBytes));
        Assert.All(found.Devices, gpu => Assert.False(gpu.IsMigInstance));
    }

    [Fact]
    public void A_library_that_does_not_start_is_no_GPU_and_a_reason()
    {
        Assert.Null(NvmlLibrary.TryOpen([Build("INIT_FAILS")], out var problem));
        Assert.Equal("nvmlInit_v2: the NVIDIA driver is not loaded", problem);
    }

    [Fact]
    public void No_library_is_no_GPU_and_no_problem()
    {
        Assert.Null(NvmlLibrary.TryOpen([_folder.File("libnvidia-ml.so.1")], out var problem));
        Assert.Null(problem);
    }

    [Fact]
    public void What_is_no_such_library_is_no_GPU_and_a_reason()
    {
        Assert.Null(NvmlLibrary.TryOpen([typeof(NetVips.Image).Module.Name is var _ && OperatingSystem.IsWindows() ? "kernel32.dll" : "libm.so.6"], out var problem));
        Assert.True(problem is null or "nvmlInit_v2: the driver is too old for it", problem);
    }

    string Build(string? define = null) => StandIn.Build("nvml_stub.c", _folder.File($"libnvml-{define}.so"), define);
}
