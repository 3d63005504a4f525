using System.Diagnostics;
using CsCheck;

namespace MedVlm.Tests.Tokenizers;

/// <summary>Text of any length is tokenized in nearly linear time.</summary>
public sealed class LongTextTests
{
    const int Length = 1_000_000;

    // A quadratic step costs a minute and more; the bound leaves a busy machine its time.
    static readonly TimeSpan Bound = TimeSpan.FromSeconds(20);

    [Theory]
    [InlineData("a"), InlineData(" "), InlineData("\n"), InlineData("é"), InlineData("字"), InlineData("𝕏")]
    [InlineData("1"), InlineData("<"), InlineData("<image>"), InlineData("<|im_end|>"), InlineData(" \t\n")]
    public void A_megabyte_of_the_same_takes_seconds_at_most(string unit)
    {
        var text = string.Concat(Enumerable.Repeat(unit, Length / unit.Length));
        foreach (var name in new[] { "smolvlm", "qwen2-vl", "starmie", "phi3.5-vision", "llava-med" })
        {
            var tokenizer = SmallTokenizers.Get(name);
            var clock = Stopwatch.StartNew();
            var ids = tokenizer.Encode(text, ..);
            Assert.Equal(text, tokenizer.Decode(ids, skipSpecialTokens: false));
            Assert.True(clock.Elapsed < Bound, $"{name}: {clock.Elapsed}");
        }
    }

    [Fact]
    public void Our_merge_loop_gives_what_Microsofts_gives()
    {
        var (bpe, microsofts) = TestBpe.FromTinyModel();
        Gen.Char["aeinorst  éü字"].Array[1, 200].Select(chars => new string(chars)).Sample(word =>
        {
            var ours = new List<int>();
            bpe.EncodeWord(word, ours);
            Assert.Equal(microsofts.EncodeToIds(word, considerPreTokenization: false, considerNormalization: false), ours);
        }, iter: 2_000);
    }
}
