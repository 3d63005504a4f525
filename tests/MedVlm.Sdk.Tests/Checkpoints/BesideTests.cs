using MedVlm.Checkpoints;

namespace MedVlm.Tests.Checkpoints;

/// <summary>Two pieces of work at the same time end together.</summary>
public sealed class BesideTests
{
    [Fact]
    public void Both_results_are_given() => Assert.Equal((1, "two"), Beside.Run(() => 1, () => "two"));

    [Theory]
    [InlineData(true, false, "first"), InlineData(false, true, "second"), InlineData(true, true, "first")]
    public void A_fault_is_thrown_as_it_is_when_neither_runs_any_more(bool first, bool second, string expected)
    {
        using var started = new ManualResetEventSlim();
        bool ended = false;

        var error = Assert.Throws<CheckpointException>(() => Beside.Run(
            () =>
            {
                started.Wait(TestContext.Current.CancellationToken);
                return first ? throw new CheckpointException("first") : 1;
            },
            () =>
            {
                started.Set();
                Thread.Sleep(50);   // the first fails meanwhile
                Volatile.Write(ref ended, true);
                return second ? throw new CheckpointException("second") : 2;
            }));

        Assert.Equal(expected, error.Message);
        Assert.True(Volatile.Read(ref ended));
    }
}
