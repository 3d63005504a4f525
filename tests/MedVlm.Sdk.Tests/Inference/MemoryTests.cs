using MedVlm.Benchmarks;

namespace MedVlm.Tests.Inference;

/// <summary>Memory holds steady however long a captioner is used, and a captioner that is disposed leaves nothing behind.</summary>
/// <remarks>Quick; the benchmark's leak command does the same for a thousand captions and a hundred loads.</remarks>
[Collection(nameof(MemoryTests))]
public sealed class MemoryTests
{
    // A caption that held its pixels, or a load that held its weights (28 MB), would pass these several times over.
    const long ManagedMib = 8, ResidentMib = 60;

    static MedicalImage[] Images => [.. Directory.EnumerateFiles(TestFolders.Phantoms, "*.jpg").Order(StringComparer.Ordinal).Select(file => MedicalImage.FromFile(file))];

    [Fact]
    public async Task Captions_leave_nothing_behind()
    {
        await using var captioner = await MedicalCaptioner.LoadAsync(TestFolders.TinyModel, TestContext.Current.CancellationToken);

        await AssertSteadyAsync(40, 200, i => captioner.CaptionAsync(Images[i % Images.Length]));
    }

    [Fact]
    public async Task Loads_leave_nothing_behind() => await AssertSteadyAsync(6, 25, async i =>
    {
        await using var captioner = await MedicalCaptioner.LoadAsync(TestFolders.TinyModel, TestContext.Current.CancellationToken);
        await captioner.CaptionAsync(Images[i % Images.Length], cancellationToken: TestContext.Current.CancellationToken);
    });

    static async Task AssertSteadyAsync(int warmups, int times, Func<int, Task> work)
    {
        for (int i = 0; i < warmups; i++)
            await work(i);
        var before = Now();
        for (int i = 0; i < times; i++)
            await work(i);
        var after = Now();

        Assert.True(after.Managed - before.Managed < ManagedMib, $"Managed memory grew from {before.Managed} to {after.Managed} MiB.");
        Assert.True(after.Resident - before.Resident < ResidentMib, $"Resident memory grew from {before.Resident} to {after.Resident} MiB.");
    }

    static (long Managed, long Resident) Now()
    {
        for (int i = 0; i < 2; i++)
        {
            GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
        }
        var memory = ProcessMemory.Now();
        return (GC.GetTotalMemory(forceFullCollection: true) >> 20, memory.Anonymous ?? memory.Resident);
    }

    /// <summary>Other tests that run at the same time would be measured too.</summary>
    [CollectionDefinition(nameof(MemoryTests), DisableParallelization = true)]
    public sealed class Alone;
}
