namespace MedVlm.Benchmarks.Commands;

/// <summary>The TinyModel used for long: memory must hold steady.</summary>
internal static class LeakCommand
{
    public static async Task RunAsync(Arguments arguments)
    {
        int captions = arguments.Number("captions") ?? 1000, loads = arguments.Number("loads") ?? 100;
        var images = SteadyCommand.Images();

        await using (var captioner = await MedicalCaptioner.LoadAsync(SteadyCommand.Options(arguments, slots: 4)))
            for (int i = 0; i <= captions; i++)
            {
                if (i % Math.Max(captions / 20, 1) == 0)
                    Print("captions", i);
                await captioner.CaptionAsync(images[i % images.Count]);
            }

        for (int i = 0; i <= loads; i++)
        {
            if (i % Math.Max(loads / 20, 1) == 0)
                Print("loads and disposals", i);
            await using var captioner = await MedicalCaptioner.LoadAsync(SteadyCommand.Options(arguments, slots: 4));
            await captioner.CaptionAsync(images[i % images.Count]);
        }
    }

    /// <summary>Memory after a full collection: what is left is held by something.</summary>
    static void Print(string what, int count)
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        new Measurement($"resident memory after {what}", ProcessMemory.Now().Resident, "MiB")
        {
            Model = "TinyModel", Precision = "fp32", Notes = new { count, managed_kib = GC.GetTotalMemory(false) >> 10 },
        }.Print();
    }
}
