using CsCheck;
using MedVlm.Datasets;

namespace MedVlm.Tests.Datasets;

/// <summary>A job that ends anywhere goes on: nothing lost, nothing twice, the same captions.</summary>
public sealed class CaptionJobResumeTests : IDisposable
{
    readonly JobFixture _job = new(40);

    public void Dispose() => _job.Dispose();

    [Fact]
    public async Task Goes_on_after_a_cut_at_any_byte()
    {
        await _job.RunAsync();
        var whole = File.ReadAllBytes(_job.Output);
        var captions = JobFixture.Lines(_job.Output).ToDictionary(line => line.Key, line => line.Value.GetProperty("caption").GetString());

        var cuts = new List<int>();
        Gen.Int[0, whole.Length].Array[25].Sample(cuts.AddRange, iter: 1);
        foreach (int cut in cuts.Append(whole.Length - 1).Append(1).Append(0))
        {
            File.WriteAllBytes(_job.Output, whole[..cut]);
            int kept = whole.AsSpan(0, cut).Count((byte)'\n');

            var report = await _job.RunAsync();

            Assert.Equal((40, 40 - kept), (report.Captioned, report.CaptionedNow));
            Assert.Equal(captions, JobFixture.Lines(_job.Output).ToDictionary(line => line.Key, line => line.Value.GetProperty("caption").GetString()));
        }
    }

    [Fact]
    public async Task Goes_on_after_being_stopped_again_and_again()
    {
        int asked = 0, runs = 0;
        for (bool complete = false; !complete; runs++)
        {
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
            int budget = 3 + runs % 4;
            try
            {
                complete = (await _job.RunAsync(
                    before: (_, _) =>
                    {
                        Interlocked.Increment(ref asked);
                        if (Interlocked.Decrement(ref budget) < 0)
                            stop.Cancel();
                        return Task.CompletedTask;
                    },
                    cancellationToken: stop.Token)).Captioned == 40;
            }
            catch (OperationCanceledException)
            {
                // Stopped, as it was asked to be.
            }
        }

        Assert.InRange(runs, 4, 60);
        Assert.Equal(_job.Ids.ToHashSet(), JobFixture.Lines(_job.Output).Keys.ToHashSet());
        Assert.Equal(40, File.ReadAllLines(_job.Output).Length);
        Assert.InRange(asked, 40, 40 + runs * 8);   // what was in flight is all that is done again
        using var provenance = System.Text.Json.JsonDocument.Parse(File.ReadAllBytes(_job.Provenance));
        Assert.Equal(runs, provenance.RootElement.GetProperty("runs").GetArrayLength());
    }

    [Theory]
    [InlineData("{\"id\":\"x\",\"caption\":\"torn")]
    [InlineData("\0\0\0\0\0\0")]
    [InlineData("{")]
    public async Task A_torn_line_is_cut_off(string torn)
    {
        await _job.RunAsync();
        File.AppendAllText(_job.Output, torn);

        await _job.RunAsync();

        Assert.Equal(40, JobFixture.Lines(_job.Output).Count);
    }

    [Fact]
    public void Lines_of_any_content_come_back() =>
        Gen.Select(Gen.String, Gen.String, Gen.Double).Sample((id, text, confidence) =>
        {
            var caption = new Caption
            {
                Text = text, TokenIds = [1], FinishReason = FinishReason.StopSequence, Confidence = confidence, PromptTokens = 1, Timings = default, Model = "m", Precision = Precision.Fp32,
            };
            var line = JobLines.Caption(new System.Buffers.ArrayBufferWriter<byte>(), "x" + id, caption, null);
            Assert.Equal(1, line.Count((byte)'\n'));
            var read = JobLines.ReadCaption(line[..^1])!.Value;

            // A lone surrogate is no text: it comes back as the replacement character, and the id's hash is that of what comes back.
            Assert.Equal(IdHash.Of("x" + id), IdHash.Of(read.Id));
            Assert.Equal(System.Text.Encoding.UTF8.GetBytes(text), System.Text.Encoding.UTF8.GetBytes(read.Caption));
        });

    [Fact]
    public void Damaged_lines_are_told_from_captions_without_any_exception() =>
        Gen.Byte.Array[0, 60].Sample(bytes =>
        {
            var line = "{\"id\":\"x\",\"caption\":\"y\"}"u8.ToArray();
            bytes.AsSpan(0, Math.Min(bytes.Length, line.Length) / 4).CopyTo(line.AsSpan(bytes.Length % 10));
            JobLines.ReadCaption(line);
            JobLines.ReadCaption(bytes);
            JobLines.ReadFailure(bytes);
        });
}
