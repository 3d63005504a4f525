using MedVlm.Devices;

namespace MedVlm.Tests.Devices;

/// <summary>NVIDIA GPUs as the driver tells of them: none, some, some that fail.</summary>
public sealed class GpuDetectorTests
{
    static readonly FakeGpu s_rtx5080 = new("NVIDIA GeForce RTX 5080", 16_303, 15_902, (12, 0));

    [Fact]
    public void No_GPU_is_an_empty_list()
    {
        var found = GpuDetector.Detect(new FakeNvml());

        Assert.Empty(found.Devices);
        Assert.Empty(found.Problems);
    }

    [Fact]
    public void A_card_is_told_with_all_that_is_asked()
    {
        var gpu = Assert.Single(GpuDetector.Detect(new FakeNvml(s_rtx5080)).Devices);

        Assert.Equal(
            (DeviceKind.Cuda, "NVIDIA GeForce RTX 5080", 16_303L << 20, 15_902L << 20, 0, "GPU-1", new Version(12, 0), "580.65.06", false),
            (gpu.Kind, gpu.Name, gpu.TotalMemoryBytes, gpu.FreeMemoryBytes, gpu.Index, gpu.Id, gpu.ComputeCapability, gpu.DriverVersion, gpu.IsMigInstance));
    }

    [Fact]
    public void Two_unequal_cards_keep_their_numbers()
    {
        var found = GpuDetector.Detect(new FakeNvml(new FakeGpu("NVIDIA GeForce GTX 1650", 4_096, 3_800, (7, 5)), s_rtx5080));

        Assert.Equal([(0, 4_096L << 20), (1, 16_303L << 20)], found.Devices.Select(gpu => (gpu.Index, gpu.TotalMemoryBytes)));
    }

    [Theory]
    [InlineData("Memory", 15, "nvmlMemory: the GPU has fallen off the bus or is otherwise inaccessible")]
    [InlineData("Device", 8, "nvmlDevice: the GPU's power cables are not attached")]
    [InlineData("ComputeCapability", 999, "nvmlComputeCapability: NVML error 999")]
    public void A_card_that_fails_is_left_out_with_the_reason(string function, int status, string reason)
    {
        var found = GpuDetector.Detect(new FakeNvml(s_rtx5080 with { Failure = (function, status) }, s_rtx5080));

        Assert.Equal(1, Assert.Single(found.Devices).Index);
        Assert.Equal($"GPU 0 is left out. {reason}.", Assert.Single(found.Problems));
    }

    [Fact]
    public void A_driver_that_fails_leaves_no_GPU_and_a_reason()
    {
        var found = GpuDetector.Detect(new FakeNvml(s_rtx5080) { Failure = ("DeviceCount", 9) });

        Assert.Empty(found.Devices);
        Assert.Equal("NVIDIA GPUs cannot be listed. nvmlDeviceCount: the NVIDIA driver is not loaded.", Assert.Single(found.Problems));
    }

    [Fact]
    public void Of_a_card_that_is_cut_up_the_instances_are_the_devices()
    {
        var h100 = new FakeGpu("NVIDIA H100", 81_559, 81_000, (9, 0))
        {
            Instances = [new("NVIDIA H100 MIG 1g.10gb", 9_984, 9_900, default), new("NVIDIA H100 MIG 3g.40gb", 40_448, 40_300, default)],
        };

        var found = GpuDetector.Detect(new FakeNvml(h100));

        Assert.Equal(
            [("NVIDIA H100 MIG 1g.10gb", 9_984L << 20, true), ("NVIDIA H100 MIG 3g.40gb", 40_448L << 20, true)],
            found.Devices.Select(gpu => (gpu.Name, gpu.TotalMemoryBytes, gpu.IsMigInstance)));
        Assert.All(found.Devices, gpu => Assert.Equal((0, new Version(9, 0)), (gpu.Index, gpu.ComputeCapability)));
    }

    [Theory]
    [InlineData("MigDevice"), InlineData("Memory"), InlineData("Name")]
    public void An_instance_that_fails_costs_no_other(string function)
    {
        var small = new FakeGpu("NVIDIA H100 MIG 1g.10gb", 9_984, 9_900, default);
        var h100 = new FakeGpu("NVIDIA H100", 81_559, 81_000, (9, 0)) { Instances = [small, null, small with { Failure = (function, 15) }, small] };

        var found = GpuDetector.Detect(new FakeNvml(s_rtx5080, h100));

        Assert.Equal(["GPU-1", "GPU-200", "GPU-203"], found.Devices.Select(gpu => gpu.Id));
        Assert.Equal(
            $"Instance 2 of GPU 1 (MIG) is left out. nvml{function}: the GPU has fallen off the bus or is otherwise inaccessible.", Assert.Single(found.Problems));
    }

    [Fact]
    public void A_card_in_MIG_mode_without_an_instance_is_left_out_with_the_reason()
    {
        var found = GpuDetector.Detect(new FakeNvml(new FakeGpu("NVIDIA H100", 81_559, 81_000, (9, 0)) { Instances = [null, null] }));

        Assert.Empty(found.Devices);
        Assert.Equal(
            "GPU 0 is left out. It is in MIG mode and has no instance, without which CUDA does not run on it.", Assert.Single(found.Problems));
    }

    [Fact]
    public void This_machine_can_be_asked_whatever_it_has() => Assert.NotNull(GpuDetector.Detect().Devices);
}
