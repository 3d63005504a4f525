using MedVlm.Evaluation.Tokens;

namespace MedVlm.Evaluation.Tests.Tokens;

public sealed class VocabularyTests
{
    [Fact]
    public async Task Its_words_can_be_listed_while_another_thread_adds_some()
    {
        var words = new Vocabulary();
        Assert.Empty(words.Words());
        var adding = Task.Run(() =>
        {
            for (int i = 0; i < 100_000; i++)
                words.IdOf($"word{i}");
        }, TestContext.Current.CancellationToken);

        while (!adding.IsCompleted)
        {
            var listed = words.Words();
            Assert.All(listed.Index().Take(3), word => Assert.Equal(word.Index, words.IdOf(word.Item!)));
        }

        await adding;
        Assert.Equal(100_000, words.Words().Length);
    }
}
