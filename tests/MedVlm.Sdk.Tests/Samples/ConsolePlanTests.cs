using MedVlm.Tests.Checkpoints;
using MedVlm.Tests.Devices;

namespace MedVlm.Tests.Samples;

/// <summary>The console sample's plan and doctor.</summary>
public sealed class ConsolePlanTests
{
    [Fact]
    public async Task Plans_for_a_card_that_is_not_here()
    {
        var run = await ConsoleRun.Of("plan", "microsoft/llava-med-v1.5-mistral-7b", "--device", "RTX 5080 16GB");

        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.Contains("on RTX 5080 16GB: 15.9 GiB", run.Out, StringComparison.Ordinal);
        Assert.Contains("INT8 is the best precision that fits (FP16 lacks", run.Out, StringComparison.Ordinal);
        Assert.EndsWith("<- taken", run.Row("INT8     16").TrimEnd(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Plans_for_this_machine()
    {
        var run = await ConsoleRun.Of("plan", TestFolders.TinyModel, "--slots", "2");

        Assert.Equal(0, run.ExitCode);
        Assert.Contains("FP32 is the best precision that fits, with the 2 slots that were asked for.", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_does_not_fit_is_told_by_the_exit_code()
    {
        var run = await ConsoleRun.Of("plan", "microsoft/llava-med-v1.5-mistral-7b", "-d", "16", "--precision", "Fp16");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains("Nothing fits. What can be done: leave Precision on Auto", run.Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("RTX 1", "\"RTX 1\" is no card that is known here.")]
    [InlineData("RTX 5080 9GB", "\"RTX 5080 9GB\": the RTX 5080 has 16 GB.")]
    public async Task A_device_that_is_not_known_is_wrong_usage(string device, string message)
    {
        var run = await ConsoleRun.Of("plan", "vikhyatk/moondream2", "--device", device);

        Assert.Equal(2, run.ExitCode);
        Assert.StartsWith(message, run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Parameter", run.Error, StringComparison.Ordinal);
        Assert.EndsWith("For this machine: gpu, auto, cpu, cuda, or cuda:1 for a certain GPU.", run.Error.TrimEnd(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cpu"), InlineData("CPU"), InlineData("auto")]
    public async Task A_device_may_be_named_as_a_load_names_it(string device)
    {
        var run = await ConsoleRun.Of("plan", TestFolders.TinyModel, "--device", device, "--slots", "1");

        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        Assert.Contains("FP32 is the best precision that fits", run.Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cuda", "runs on the CPU only"), InlineData("cuda:0", "runs on the CPU only"), InlineData("cuda:x", "Device is none of \"auto\", \"cpu\", \"cuda\"")]
    public async Task A_GPU_that_a_load_refuses_is_refused_by_a_plan(string device, string message)
    {
        var run = await ConsoleRun.Of("plan", TestFolders.TinyModel, "--device", device);

        Assert.Equal(2, run.ExitCode);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", false), InlineData("@main", false), InlineData("@doesnotexist", true)]
    public async Task A_plan_for_a_revision_that_is_not_here_says_whose_sizes_it_has(string revision, bool told)
    {
        var run = await ConsoleRun.Of("plan", $"vikhyatk/moondream2{revision}", "--device", "16");

        Assert.Contains("the sizes are those of the published checkpoint", run.Out, StringComparison.Ordinal);
        Assert.Equal(told, run.Out.Contains("whether or not the hub has a revision \"doesnotexist\" of it.", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_help_says_what_every_exit_code_means() =>
        Assert.Contains("nothing fits (plan)", Words((await ConsoleRun.Of("--help")).Out), StringComparison.Ordinal);

    [Theory]
    [InlineData("PCI_BUS_ID", null, 0, "on NVIDIA GeForce RTX 5080: 15.9 GiB")]
    [InlineData("PCI_BUS_ID", "1", 0, "on NVIDIA H100 MIG 1g.10gb: 9.8 GiB")]
    [InlineData("PCI_BUS_ID", "", 2, "This machine has no NVIDIA GPU that CUDA can use. Instance 3 of GPU 1 (MIG) is left out.")]
    [InlineData("FASTEST_FIRST", null, 2, "This machine has unequal GPUs (NVIDIA GeForce RTX 5080, NVIDIA H100 MIG 1g.10gb), and CUDA's order of them is not known")]
    public async Task The_GPU_of_this_machine_is_one_that_CUDA_sees(string order, string? visible, int exitCode, string said)
    {
        using var driver = new TemporaryFolder();

        var run = await ConsoleRun.Of(WithGpus(driver, order, visible), "plan", TestFolders.TinyModel, "--device", "gpu");

        Assert.Equal(exitCode, run.ExitCode);
        Assert.Contains(said, Words(run.Out + run.Error), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Doctor_says_which_GPU_CUDA_sees_and_what_is_wrong()
    {
        using var driver = new TemporaryFolder();

        var hidden = await ConsoleRun.Of(WithGpus(driver, "PCI_BUS_ID", "1"), "doctor");
        var unordered = await ConsoleRun.Of(WithGpus(driver, "FASTEST_FIRST", null), "doctor");

        Assert.Contains("00000001, not seen by CUDA", Words(hidden.Out), StringComparison.Ordinal);
        Assert.Contains("00000002, cuda:0", Words(hidden.Out), StringComparison.Ordinal);
        Assert.Contains("Problem: This machine has unequal GPUs", Words(unordered.Out), StringComparison.Ordinal);
    }

    [Fact]
    public async Task CUDA_s_own_order_of_unequal_GPUs_is_asked_for()
    {
        using var driver = new TemporaryFolder();
        var variables = WithGpus(driver, "FASTEST_FIRST", null);
        StandIn.Build("cuda_stub.c", driver.File("libcuda.so.1"));

        var (doctor, plan) = (await ConsoleRun.Of(variables, "doctor"), await ConsoleRun.Of(variables, "plan", TestFolders.TinyModel, "--device", "gpu"));

        Assert.Contains("00000001, cuda:1", Words(doctor.Out), StringComparison.Ordinal);
        Assert.Contains("00000002, cuda:0", Words(doctor.Out), StringComparison.Ordinal);
        Assert.DoesNotContain("unequal", doctor.Out, StringComparison.Ordinal);
        Assert.Contains("on NVIDIA GeForce RTX 5080: 15.9 GiB", Words(plan.Out), StringComparison.Ordinal);
    }

    /// <summary>Text without its lines, which end where the width of a process of its own says.</summary>
    static string Words(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    /// <summary>Variables of a process that finds the cards of nvml_stub.c.</summary>
    static Dictionary<string, string> WithGpus(TemporaryFolder driver, string order, string? visible)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The stand-in for NVIDIA's library is found by Linux's loader.");
        StandIn.Build("nvml_stub.c", driver.File("libnvidia-ml.so.1"));
        StandIn.Build("cuda_stub.c", driver.File("libcuda.so.1"), "INIT_RESULT=803");   // tells nothing, in the place of one that this machine may have
        var variables = new Dictionary<string, string> { ["LD_LIBRARY_PATH"] = driver.Path, ["CUDA_DEVICE_ORDER"] = order };
        if (visible is not null)
            variables["CUDA_VISIBLE_DEVICES"] = visible;
        return variables;
    }

    [Fact]
    public async Task Doctor_shows_devices_libraries_caches_and_models()
    {
        var run = await ConsoleRun.Of("doctor");

        Assert.Equal(0, run.ExitCode);
        foreach (var fact in (string[])["Processor", "Memory", "GPU", "libvips", "Hub cache", "MedVlm cache"])
            Assert.Contains(run.Out.Split('\n'), line => line.StartsWith(fact, StringComparison.Ordinal));
        Assert.Contains("CPUExecutionProvider", run.Row("ONNX Runtime"), StringComparison.Ordinal);
        foreach (var model in SystemInformation.KnownModels)
            Assert.Matches("(FP32|INT8|INT4), [0-9]+ slots|too large by [0-9]", run.Row(model));
    }
}
