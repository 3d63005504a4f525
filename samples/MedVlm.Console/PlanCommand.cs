using System.CommandLine;

namespace MedVlm.ConsoleSample;

/// <summary>plan: does a model fit, here or on a card that is not here, and how would it run?</summary>
internal static class PlanCommand
{
    public static Command Create(Terminal terminal)
    {
        var model = new Argument<string>("model")
        {
            HelpName = "model", Description = "Hub id (org/name[@revision]) or checkpoint folder. The models that doctor lists need not be on this machine.",
        };
        var device = new Option<string?>("--device", "-d")
        {
            HelpName = "DEVICE",
            Description = "A card by name (\"RTX 5080\", \"RTX 5080 16GB\"), GB of GPU memory (\"16\"), or gpu for the one in this machine; or as caption has it: auto, cpu, "
                          + "cuda, cuda:1. Default: auto.",
        };
        var precision = new Option<Precision>("--precision") { Description = "Number format. Default: the best that fits." };
        var slots = new Option<int>("--slots") { HelpName = "N", Description = "Captions that are decoded together. Default: as many as help and fit." };
        var memory = new Option<int>("--max-memory") { HelpName = "MIB", Description = "MiB that all may take together, of what is free. Default: what is free, less a reserve." };

        var command = new Command("plan", "Add up what a model takes on a device, without loading it.") { model, device, precision, slots, memory };
        command.SetAction((parsed, cancellationToken) => PlanAsync(
            terminal,
            new MedicalCaptionerOptions
            {
                Model = parsed.GetRequiredValue(model), Precision = parsed.GetValue(precision), Slots = parsed.GetNumber(slots),
                MaxDeviceMemoryMiB = parsed.GetNumber(memory),
            },
            parsed.GetValue(device), cancellationToken));
        return command;
    }

    static async Task<int> PlanAsync(Terminal terminal, MedicalCaptionerOptions options, string? device, CancellationToken cancellationToken)
    {
        // What caption takes is chosen as a load chooses; the rest need not be in this machine.
        if (device is not null && IsOption(device))
            (options.Device, device) = (device, null);
        var plan = await MedicalCaptioner.PlanAsync(options, device is null ? null : Device(device), cancellationToken);

        foreach (var line in plan.Explain().Split('\n'))
            terminal.WriteLine(line);
        return plan.Chosen is null ? ExitCode.SomeFailed : ExitCode.Success;
    }

    static bool IsOption(string device) =>
        device.ToUpperInvariant() is "AUTO" or "CPU" or "CUDA" || device.StartsWith("cuda:", StringComparison.OrdinalIgnoreCase);

    static ComputeDevice Device(string text)
    {
        if (text.Equals("gpu", StringComparison.OrdinalIgnoreCase))
        {
            var system = SystemInformation.Detect();
            return system.CudaGpus.MaxBy(gpu => gpu.FreeMemoryBytes)
                ?? throw new UsageException($"This machine has no NVIDIA GPU that CUDA can use. {string.Join(" ", system.Problems)}".TrimEnd());
        }
        try
        {
            return ComputeDevice.Parse(text);
        }
        catch (ArgumentException e)
        {
            throw new UsageException($"{e.Message.Split(" (Parameter")[0]} For this machine: gpu, auto, cpu, cuda, or cuda:1 for a certain GPU.");
        }
    }
}
