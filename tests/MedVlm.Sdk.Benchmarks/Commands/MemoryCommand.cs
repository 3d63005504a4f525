namespace MedVlm.Benchmarks.Commands;

/// <summary>
/// What a model takes beside what was planned: the peak of this process over a batch that fills all slots, with images of the size that
/// plans are made for. In INT8 and INT4 the second run counts: the first one quantises.
/// </summary>
internal static class MemoryCommand
{
    public static async Task RunAsync(Arguments arguments)
    {
        var folder = arguments.Word("checkpoint folder");
        var options = new MedicalCaptionerOptions
        {
            Model = folder, Threads = arguments.Number("threads"), Precision = arguments.Precision(), Slots = arguments.Number("slots"), Device = "cpu",
            DefaultCaption = { MaxNewTokens = arguments.Number("tokens") ?? 16 },
        };
        await using var captioner = await MedicalCaptioner.LoadAsync(options);
        var plan = captioner.GetService<MemoryPlan>()!;
        var loaded = ProcessMemory.Now();

        // Each differs from all others: the vision tower sees every one of them.
        int side = 1024, failures = 0, images = arguments.Number("images") ?? plan.Chosen!.Slots;
        var requests = Enumerable.Range(0, images).Select(i => new CaptionRequest(MedicalImage.FromPixels(Different(i), side, side, PixelFormat.Gray8)) { Id = $"{i}" });
        long managed = 0;
        await foreach (var result in captioner.CaptionBatchAsync(requests.ToAsyncEnumerable()))
        {
            failures += result.Error is null ? 0 : 1;
            managed = Math.Max(managed, GC.GetGCMemoryInfo(GCKind.Any).TotalCommittedBytes);
        }

        const double MiB = 1 << 20;
        var chosen = plan.Chosen!;
        double planned = chosen.TotalBytes / MiB, peak = ProcessMemory.Now().Peak;
        new Measurement("peak of the process over the plan", Math.Round(peak / planned, 3), "ratio")
        {
            Model = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)), Precision = arguments.PrecisionName(), Batch = images, Threads = arguments.Threads(),
            Notes = new
            {
                planned_mib = Math.Round(planned), weights = Math.Round(chosen.WeightBytes / MiB), kv_cache = Math.Round(chosen.KvCacheBytes / MiB),
                workspace = Math.Round(chosen.WorkspaceBytes / MiB), runtime = Math.Round(chosen.OverheadBytes / MiB), peak_at_load = loaded.Peak,
                resident_after_load = loaded.Resident, slots = chosen.Slots, slot_length = plan.SlotLength,
                managed = Math.Round(managed / MiB), vision_runs = captioner.Engine.VisionCache.Misses, failures,
            },
        }.Print();

        byte[] Different(int image)
        {
            var pixels = new byte[side * side];
            new Random(image).NextBytes(pixels);
            return pixels;
        }
    }
}
