using MedVlm.Benchmarks.Synthetic;
using MedVlm.Devices;

namespace MedVlm.Benchmarks.Commands;

/// <summary>
/// A model's whole way on a GPU: where ONNX Runtime places each node, what the GPU gives beside what was planned, and whether all is given back. On a
/// machine without one it runs against the stand-ins of tests/cuda-stand-in, whose kernels compute nothing.
/// </summary>
internal static class CudaCommand
{
    public static async Task<int> RunAsync(Arguments arguments)
    {
        if (arguments.Text("family") is not { } family)
            return await RunAsync(arguments.Text("checkpoint") is { } folder ? [folder] : Goldens(), arguments);

        var scratch = Directory.CreateTempSubdirectory("medvlm-cuda-").FullName;
        try
        {
            var checkpoint = Path.Combine(scratch, family);
            SyntheticCheckpoint.Write(SyntheticFamily.Of(family), Places.Config(family), Places.Tokenizer(family), checkpoint, null, oneLayer: true);
            return await RunAsync([checkpoint], arguments);
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }
    }

    static async Task<int> RunAsync(IEnumerable<string> checkpoints, Arguments arguments)
    {
        Precision[] precisions = arguments.Has("precision") ? [arguments.Precision()] : [.. MemoryPlanner.PrecisionsOf(DeviceKind.Cuda)];
        bool good = true;
        foreach (var checkpoint in checkpoints)
            foreach (var precision in precisions)
            {
                var options = new MedicalCaptionerOptions
                {
                    Model = checkpoint, Tokenizer = Companion(checkpoint, "starmie-v1"), Device = DeviceChoice.Cuda, Precision = precision,
                    Slots = arguments.Number("slots"), VisionCacheMiB = 0, DefaultCaption = { MaxNewTokens = arguments.Number("tokens") ?? 8 },
                };
                good &= await CaptionAsync(options, arguments);
                good &= await LoadAndDisposeAsync(options, arguments.Number("loads") ?? 3);
            }
        return good ? 0 : 1;
    }

    /// <summary>A batch that fills all slots: where its nodes ran, and what it took.</summary>
    static async Task<bool> CaptionAsync(MedicalCaptionerOptions options, Arguments arguments)
    {
        var profile = Directory.CreateTempSubdirectory("medvlm-cuda-").FullName;
        try
        {
            var memory = CudaMemory.Watch();
            var errors = new List<string>();
            MemoryPlan plan;
            long loaded;
            int slotsLeft, tokens = options.DefaultCaption.MaxNewTokens;
            await using (var captioner = await MedicalCaptioner.LoadAsync(options, null, new() { ProfileFolder = profile }, CancellationToken.None))
            {
                (plan, loaded) = (captioner.GetService<MemoryPlan>()!, memory.Taken);
                if (arguments.Number("room-mib") is { } room)
                    memory.Limit(loaded + ((long)room << 20));

                // A small image first: the KV cache is there before the vision tower takes its most.
                errors.AddRange(await ErrorsAsync(captioner, tokens, 1, side: 64, splitIntoTiles: false));
                int images = arguments.Number("images") ?? plan.Chosen!.Slots + 1;
                errors.AddRange(await ErrorsAsync(captioner, tokens, images, arguments.Number("edge") ?? 1024, splitIntoTiles: null));
                slotsLeft = captioner.Engine.Slots;
            }

            var (vision, decoder) = (Nodes.Of(profile, "vision"), Nodes.Of(profile, "decoder"));
            var chosen = plan.Chosen!;
            double planned = chosen.TotalBytes - chosen.OverheadBytes;
            new Measurement("GPU memory at its peak over the plan without the runtime", Math.Round(memory.Peak / planned, 3), "ratio")
            {
                Model = Name(options.Model), Precision = PrecisionName(options), Batch = chosen.Slots,
                Notes = new
                {
                    peak_mib = MiB(memory.Peak), loaded_mib = MiB(loaded), weights_mib = MiB(chosen.WeightBytes), kv_cache_mib = MiB(chosen.KvCacheBytes),
                    workspace_mib = MiB(chosen.WorkspaceBytes), after_mib = MiB(memory.Taken), slots_left = slotsLeft,
                    failures = errors.Count, errors = errors.Count == 0 ? null : errors.Distinct(), vision, decoder,
                },
            }.Print();
            return errors.Count == 0 && vision.Cpu.Count + decoder.Cpu.Count == 0;
        }
        finally
        {
            Directory.Delete(profile, recursive: true);
        }
    }

    /// <summary>Captions images, and returns why some failed.</summary>
    static async Task<List<string>> ErrorsAsync(MedicalCaptioner captioner, int tokens, int images, int side, bool? splitIntoTiles)
    {
        var requests = Enumerable.Range(0, images).Select(i => new CaptionRequest(MedicalImage.FromPixels(Noise(i, side), side, side, PixelFormat.Gray8))
        {
            Id = $"{i}", Options = new CaptionOptions { MaxNewTokens = tokens, ImageDetail = new() { SplitIntoTiles = splitIntoTiles } },
        });
        return await captioner.CaptionBatchAsync(requests.ToAsyncEnumerable())
            .Where(result => result.Error is not null)
            .Select(result => $"{result.Error!.GetType().Name}: {result.Error.Message}")
            .ToListAsync();
    }

    /// <summary>Nodes of a graph that have run.</summary>
    /// <param name="Cuda">How many on CUDA.</param>
    /// <param name="Cpu">How many on the CPU, of each operator.</param>
    /// <param name="Copies">How many of all are copies that ONNX Runtime has put in between.</param>
    sealed record Nodes(int Cuda, IReadOnlyDictionary<string, int> Cpu, int Copies)
    {
        public static Nodes Of(string profile, string graph)
        {
            var nodes = ProfileSummary.Runs(profile, graph).SelectMany(run => run).DistinctBy(node => node.Name).ToList();
            var onCpu = nodes.Where(node => node.Provider != DeviceChoice.CudaProvider).ToList();
            return new(
                nodes.Count - onCpu.Count, onCpu.CountBy(node => node.Op).ToDictionary(), nodes.Count(node => node.Op.StartsWith("Memcpy", StringComparison.Ordinal)));
        }
    }

    /// <summary>What stays behind of a model that was loaded, used and disposed, again and again.</summary>
    static async Task<bool> LoadAndDisposeAsync(MedicalCaptionerOptions options, int loads)
    {
        var memory = CudaMemory.Watch();
        var after = new List<long>();
        for (int i = 0; i < loads; i++)
        {
            await using (var captioner = await MedicalCaptioner.LoadAsync(options))
                await captioner.CaptionAsync(MedicalImage.FromPixels(Noise(i, 256), 256, 256, PixelFormat.Gray8));
            after.Add(memory.Taken);
        }
        new Measurement("GPU memory after a load and its end", after.LastOrDefault(), "bytes")
        {
            Model = Name(options.Model), Precision = PrecisionName(options), Runs = loads, Notes = new { first = after.FirstOrDefault() },
        }.Print();
        return after.LastOrDefault() <= after.FirstOrDefault();
    }

    static IEnumerable<string> Goldens() =>
        Directory.EnumerateDirectories(Places.InCheckout("tests", "goldens"))
            .Select(family => Path.Combine(family, "checkpoint")).Where(Directory.Exists).Order(StringComparer.Ordinal);

    /// <summary>A folder beside a family's checkpoint.</summary>
    static string? Companion(string checkpoint, string name) =>
        Path.Combine(Path.GetDirectoryName(Path.GetFullPath(checkpoint))!, name) is var folder && Directory.Exists(folder) ? folder : null;

    static string Name(string checkpoint) =>
        Path.GetFileName(checkpoint) is "checkpoint" ? Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(checkpoint)))! : Path.GetFileName(checkpoint);

    static string PrecisionName(MedicalCaptionerOptions options) => options.Precision.ToString().ToLowerInvariant();

    static double MiB(long bytes) => Math.Round(bytes / (double)(1 << 20), 1);

    static byte[] Noise(int seed, int side)
    {
        var pixels = new byte[side * side];
        new Random(seed).NextBytes(pixels);
        return pixels;
    }
}
