using System.CommandLine;
using Spectre.Console;

namespace MedVlm.ConsoleSample;

/// <summary>doctor: what this machine has, and what would be chosen for each model.</summary>
internal static class DoctorCommand
{
    const double GiB = 1L << 30;

    public static Command Create(Terminal terminal)
    {
        var command = new Command("doctor", "Show devices, native libraries and caches, and how each model would run here.");
        command.SetAction((_, cancellationToken) => ShowAsync(terminal, cancellationToken));
        return command;
    }

    static async Task<int> ShowAsync(Terminal terminal, CancellationToken cancellationToken)
    {
        var system = SystemInformation.Detect();
        terminal.Out.Write(Facts(system));
        foreach (var problem in system.Problems)
            terminal.WriteLine($"Problem: {problem}", new Style(Color.Red));
        terminal.WriteLine("");

        terminal.Out.Write(await ModelsAsync(system, cancellationToken));
        terminal.WriteLine($"{await WhereAsync(system, cancellationToken)} \"plan MODEL\" shows how a choice comes about.");
        return system.OnnxRuntimeVersion is null || system.LibvipsVersion is null ? ExitCode.CannotRun : ExitCode.Success;
    }

    /// <summary>Which of the columns is what happens.</summary>
    static async Task<string> WhereAsync(SystemInformation system, CancellationToken cancellationToken)
    {
        if (system.Gpus.Count > 0 && !system.ExecutionProviders.Contains("CUDAExecutionProvider"))
            return "Captions run on the processor: this build has the CPU's ONNX Runtime. Build with -p:OnnxRuntime=Gpu to use the GPU.";
        try
        {
            // A plan is made for where a load would run.
            var plan = await MedicalCaptioner.PlanAsync(new MedicalCaptionerOptions().UseTinyModel(), null, cancellationToken);
            return plan.Device.Kind == DeviceKind.Cpu
                ? "Captions run on the processor."
                : $"Captions run on GPU {plan.Device.Index} ({plan.Device.Name}), the one with the most free memory of those that CUDA sees, unless --device says otherwise.";
        }
        catch (MedVlmException e)
        {
            return $"Captions do not run unless --device says where{(system.Problems.Contains(e.Message) ? "." : $": {e.Message}")}";
        }
    }

    static Grid Facts(SystemInformation system)
    {
        var grid = new Grid().AddColumn(new GridColumn().NoWrap()).AddColumn();
        Add("MedVlm.Sdk", typeof(MedicalCaptioner).Assembly.GetName().Version?.ToString(3) ?? "");
        Add("Platform", system.Platform);
        Add("Processor", $"{system.Processor.Name}, {Cores(system.Processor.Cores)}, {Words(system.Processor.InstructionSets, "no vector instructions that are known")}");
        Add("Attention", system.IntegerKernels is { } kernels ? $"on integers in INT8 and INT4, with {kernels}" : "in FP32, for want of AVX2");
        Add("Memory", Memory(system.Processor));
        foreach (var gpu in system.Gpus)
            Add($"GPU {gpu.Index}{(gpu.IsMigInstance ? " (MIG)" : "")}", $"{gpu.Name}, {Memory(gpu)}, compute {gpu.ComputeCapability}, driver {gpu.DriverVersion}, {gpu.Id}, {CudaName(system, gpu)}");
        if (system.Gpus.Count == 0)
            Add("GPU", "none of NVIDIA's that answers");
        Add("ONNX Runtime", system.OnnxRuntimeVersion is { } version ? $"{version}: {Words(system.ExecutionProviders, "no execution provider")}" : "missing");
        Add("libvips", system.LibvipsVersion ?? "missing");
        Add("Hub cache", Folder(system.HubCacheFolder));
        Add("MedVlm cache", Folder(system.CacheFolder));
        Add("Calibrated", Calibrations());
        return grid;

        void Add(string name, string value) => grid.AddRow(Terminal.Plain(name), Terminal.Plain(value));
    }

    static string Calibrations()
    {
        try
        {
            return Words([.. WeightCache.ListCalibrations().Select(entry => $"{entry.Model} ({entry.Images} images)")], "no model");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"cannot be read ({e.Message})";
        }
    }

    /// <summary>What --device calls a GPU.</summary>
    static string CudaName(SystemInformation system, ComputeDevice gpu) =>
        system.CudaGpus.FirstOrDefault(seen => seen.Id == gpu.Id) is { } seen ? $"cuda:{seen.Ordinal}" : "not seen by CUDA";

    static async Task<Table> ModelsAsync(SystemInformation system, CancellationToken cancellationToken)
    {
        IReadOnlyList<ComputeDevice> devices = [system.Processor, .. system.Gpus];
        var table = new Table { Border = TableBorder.Horizontal }.AddColumn("[bold]Model[/]").AddColumn("[bold]In the cache[/]");
        foreach (var device in devices)
            table.AddColumn(new TableColumn(Terminal.Plain(device.Kind == DeviceKind.Cpu ? "Processor" : $"GPU {device.Index}")));

        foreach (var model in SystemInformation.KnownModels)
        {
            var (cells, isLocal) = (new List<string>(), "no");
            foreach (var device in devices)
                try
                {
                    var plan = await MedicalCaptioner.PlanAsync(new MedicalCaptionerOptions { Model = model }, device, cancellationToken);
                    isLocal = plan.IsLocal ? "yes" : "no";
                    cells.Add(plan.Chosen is { } chosen
                        ? $"{chosen.Precision.ToString().ToUpperInvariant()}, {chosen.Slots} slots, {chosen.TotalBytes / GiB:F1} GiB"
                        : $"too large by {-plan.Candidates.Where(candidate => !candidate.Fits).Max(candidate => candidate.MarginBytes) / GiB:F1} GiB");
                }
                catch (MedVlmException e)
                {
                    isLocal = "yes";
                    cells.Add(e.Message);
                }
            table.AddRow([Terminal.Plain(model), Terminal.Plain(isLocal), .. cells.Select(cell => Terminal.Plain(cell))]);
        }
        return table;
    }

    static string Memory(ComputeDevice device) => $"{device.TotalMemoryBytes / GiB:F1} GiB, {device.FreeMemoryBytes / GiB:F1} GiB free";

    static string Cores(int cores) => cores == 1 ? "1 core to run on" : $"{cores} cores to run on";

    static string Words(IReadOnlyList<string> words, string none) => words.Count == 0 ? none : string.Join(", ", words);

    /// <summary>A folder and the size of its files; links, as the hub's cache has them, are counted where they lead to.</summary>
    static string Folder(string path)
    {
        if (!Directory.Exists(path))
            return $"{path} ({(File.Exists(path) ? "a file" : "not there")})";

        var everything = new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true, AttributesToSkip = FileAttributes.ReparsePoint };
        try
        {
            long bytes = new DirectoryInfo(path).EnumerateFiles("*", everything).Sum(file => file.Length);
            return $"{path} ({bytes / GiB:F1} GiB)";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{path} (cannot be read)";
        }
    }
}
