using MedVlm.Devices;
using Microsoft.Extensions.Options;

namespace MedVlm.Tests.Devices;

/// <summary>Where a model runs: what the option says, on machines with and without GPUs.</summary>
public sealed class DeviceChoiceTests
{
    static readonly ComputeDevice s_processor = new(DeviceKind.Cpu, "Some CPU", 32L << 30, 16L << 30);
    static readonly ComputeDevice s_small = new(DeviceKind.Cuda, "RTX 3060", 12L << 30, 11L << 30) { Index = 0, Id = "GPU-aaaa" };
    static readonly ComputeDevice s_large = new(DeviceKind.Cuda, "RTX 5080", 16L << 30, 15L << 30) { Index = 1, Id = "GPU-bbbb" };

    static DeviceChoice Choose(string wanted, ComputeDevice[] gpus, bool cuda = true, string? visible = null, string? order = "PCI_BUS_ID", string[]? problems = null, string[]? ids = null) =>
        DeviceChoice.Of(wanted, new DeviceChoice.Machine(
            () => s_processor, () => new GpuList(gpus, problems ?? []), () => cuda ? ["CUDAExecutionProvider", "CPUExecutionProvider"] : ["CPUExecutionProvider"],
            name => name switch { "CUDA_VISIBLE_DEVICES" => visible, "CUDA_DEVICE_ORDER" => order, _ => null }) { VisibleIds = () => ids });

    static IReadOnlyList<ComputeDevice> Visible(ComputeDevice[] gpus, string? visible, string? order = null, string[]? ids = null) => CudaOrdinals.Visible(
        new(gpus, []), name => name switch { "CUDA_VISIBLE_DEVICES" => visible, "CUDA_DEVICE_ORDER" => order, _ => null }, () => ids).Devices;

    [Fact]
    public void Auto_takes_the_GPU_with_the_most_free_memory()
    {
        var choice = Choose("auto", [s_small, s_large]);

        Assert.Equal(("RTX 5080", 1, null), (choice.Device.Name, choice.Device.Ordinal, choice.Notice));
        Assert.Equal("RTX 3060", Choose("auto", [s_small, s_large with { FreeMemoryBytes = 1 << 30 }]).Device.Name);
    }

    [Fact]
    public void Auto_takes_the_processor_where_there_is_no_GPU()
    {
        Assert.Equal(new DeviceChoice(s_processor, null), Choose("auto", []));
        Assert.Equal(new DeviceChoice(s_processor, null), Choose("auto", [], cuda: false));
    }

    [Fact]
    public void A_GPU_that_the_native_package_cannot_use_is_told() => Assert.Equal(
        "The model runs on the processor although there is a GPU (RTX 5080): the native ONNX Runtime that the application references runs on the CPU only. "
        + "Reference Microsoft.ML.OnnxRuntime.Gpu in its place, or set Device to \"cpu\".", Choose("auto", [s_large], cuda: false).Notice);

    [Fact]
    public void A_GPU_that_does_not_answer_is_told() =>
        Assert.Equal("The model runs on the processor: no GPU can be used. GPU 0 is left out.", Choose("auto", [], problems: ["GPU 0 is left out."]).Notice);

    [Fact]
    public void A_GPU_that_CUDA_does_not_see_is_told()
    {
        Assert.Equal(
            "The model runs on the processor: no GPU can be used. CUDA sees none of the GPUs that the driver lists: CUDA_VISIBLE_DEVICES is \"\", and may name none of them.",
            Choose("auto", [s_large], visible: "").Notice);
        Assert.Equal(
            "Device is \"cuda\", but CUDA sees no GPU here. CUDA sees none of the GPUs that the driver lists: CUDA_VISIBLE_DEVICES is \"7\", and may name none of them. Set Device to \"cpu\" to run without one.",
            Assert.Throws<MedVlmException>(() => Choose("cuda", [s_large], visible: "7")).Message);
    }

    [Theory]
    [InlineData("cpu", "Some CPU"), InlineData("CPU", "Some CPU"), InlineData("cuda", "RTX 5080"), InlineData("cuda:0", "RTX 3060"), InlineData("CUDA:1", "RTX 5080")]
    public void The_option_names_a_device(string wanted, string expected) => Assert.Equal(expected, Choose(wanted, [s_small, s_large]).Device.Name);

    [Fact]
    public void A_GPU_that_is_asked_for_and_is_not_there_is_an_error()
    {
        Assert.Equal("Device is \"cuda:2\", but CUDA sees 2 GPUs here, counted from 0.", Assert.Throws<MedVlmException>(() => Choose("cuda:2", [s_small, s_large])).Message);
        Assert.Equal(
            "Device is \"cuda\", but CUDA sees no GPU here. Set Device to \"cpu\" to run without one.", Assert.Throws<MedVlmException>(() => Choose("cuda", [])).Message);
        Assert.Equal(
            "The native ONNX Runtime that the application references runs on the CPU only. Reference Microsoft.ML.OnnxRuntime.Gpu in its place to use a GPU, or set Device to \"cpu\".",
            Assert.Throws<NativeRuntimeException>(() => Choose("cuda", [s_large], cuda: false)).Message);
    }

    // ---- CUDA's order ----

    [Theory]
    [InlineData(null, "RTX 3060 0, RTX 5080 1"), InlineData("1", "RTX 5080 0"), InlineData("1,0", "RTX 5080 0, RTX 3060 1"), InlineData("GPU-bb", "RTX 5080 0")]
    [InlineData("", ""), InlineData("7", ""), InlineData("0,-1,1", "RTX 3060 0"), InlineData("GPU-cc,0", "")]
    [InlineData("0,0,1", "RTX 3060 0"), InlineData("GPU-", ""), InlineData("1,GPU-bbbb", "RTX 5080 0")]
    public void CUDA_counts_what_CUDA_VISIBLE_DEVICES_leaves(string? visible, string expected) => Assert.Equal(expected, string.Join(", ",
        Visible([s_small, s_large], visible, "PCI_BUS_ID").Select(gpu => $"{gpu.Name} {gpu.Ordinal}")));

    [Fact]
    public void Unequal_GPUs_in_an_order_that_nothing_tells_are_refused_and_equal_ones_are_not()
    {
        var error = Assert.Throws<MedVlmException>(() => Choose("auto", [s_small, s_large], order: null));

        Assert.Equal(
            "This machine has unequal GPUs (RTX 3060, RTX 5080), and CUDA's order of them is not known: set the environment variable CUDA_DEVICE_ORDER to PCI_BUS_ID, "
            + "or CUDA_VISIBLE_DEVICES to the UUID of one, or the option Device to \"cpu\".", error.Message);
        Assert.Equal(1, Choose("cuda:1", [s_large with { Index = 0 }, s_large], order: null).Device.Ordinal);
        Assert.Equal(0, Choose("cuda", [s_small, s_large], order: null, visible: "GPU-bbbb").Device.Ordinal);
    }

    [Fact]
    public void Of_a_GPU_that_is_cut_up_CUDA_sees_the_first_instance()
    {
        var (first, second) = (s_large with { IsMigInstance = true, Id = "MIG-1" }, s_large with { IsMigInstance = true, Id = "MIG-2" });

        Assert.Equal("MIG-1", Assert.Single(Visible([first, second], null)).Id);
        Assert.Equal("MIG-2", Assert.Single(Visible([first, second], "MIG-2")).Id);
    }

    // What the driver tells counts, whatever the variables seem to say (.NET's are not those that native code sees).
    [Theory]
    [InlineData("bbbb,aaaa", "RTX 5080 0, RTX 3060 1"), InlineData("BBBB", "RTX 5080 0"), InlineData("", "")]
    [InlineData("ffff,aaaa", "RTX 3060 1")]   // a GPU that NVML left out has its number all the same
    [InlineData(null, "RTX 3060 0"), InlineData("ffff", "RTX 3060 0")]
    public void CUDA_s_order_is_what_the_driver_tells(string? ids, string expected) => Assert.Equal(expected, string.Join(", ",
        Visible([s_small, s_large], "GPU-aaaa", order: null, ids?.Split(',', StringSplitOptions.RemoveEmptyEntries)).Select(gpu => $"{gpu.Name} {gpu.Ordinal}")));

    [Fact]
    public void Unequal_GPUs_need_no_variables_where_the_driver_tells_their_order()
    {
        var best = Choose("auto", [s_small, s_large], order: null, ids: ["bbbb", "aaaa"]).Device;

        Assert.Equal(("RTX 5080", 0), (best.Name, best.Ordinal));
        Assert.Equal("RTX 3060", Choose("cuda:1", [s_small, s_large], order: null, ids: ["bbbb", "aaaa"]).Device.Name);
        Assert.Equal("RTX 3060", Choose("cuda:1", [s_small, s_large], order: null, ids: ["ffff", "aaaa"]).Device.Name);
        Assert.Equal(
            "The model runs on the processor: no GPU can be used. CUDA sees none of the GPUs that the driver lists.", Choose("auto", [s_large], ids: []).Notice);
    }

    [Theory]
    [InlineData("gpu"), InlineData("cuda:"), InlineData("cuda:x"), InlineData("")]
    public async Task A_device_that_is_none_is_refused_as_an_option(string device) => await Assert.ThrowsAsync<OptionsValidationException>(
        () => MedicalCaptioner.LoadAsync(new MedicalCaptionerOptions { Model = TestFolders.TinyModel, Device = device }, cancellationToken: TestContext.Current.CancellationToken));
}
