using System.Text.Json;
using System.Text.Json.Serialization;

namespace MedVlm.Tests.Models;

/// <summary>The embedded model says what the reference says, on our drawn images and, where they are there, on real ones.</summary>
[Trait("Category", "Golden")]
public sealed class TinyModelTests(TinyModelTests.Loaded loaded) : IClassFixture<TinyModelTests.Loaded>
{
    public static TheoryData<string> Phantoms => [.. Answers(TestFolders.Phantoms).Select(answer => answer.Image)];

    [Theory, MemberData(nameof(Phantoms))]
    public Task Captions_our_sample_images_as_the_reference_does(string image) => AssertSame(TestFolders.Phantoms, image);

    [Fact]
    public async Task Captions_real_images_as_the_reference_does()
    {
        if (TestFolders.Shared("models", "tiny-eval") is not { } folder)
        {
            Assert.Skip("The real images (third-party, never committed) are not beside this checkout.");
            return;
        }

        foreach (var answer in Answers(folder))
            await AssertSame(folder, answer.Image);
    }

    async Task AssertSame(string folder, string image)
    {
        var answer = Answers(folder).Single(answer => answer.Image == image);
        foreach (var one in (Answer[])[answer, .. answer.More ?? []])
        {
            var caption = await loaded.Captioner.CaptionAsync(
                MedicalImage.FromFile(Path.Combine(folder, image)),
                new CaptionOptions { Prompt = one.Prompt, MaxNewTokens = one.MaxNewTokens }, TestContext.Current.CancellationToken);

            Assert.Equal(one.GeneratedIds, caption.TokenIds);
            Assert.Equal(one.Text, caption.Text);
            Assert.Equal(one.InputIds.Length, caption.PromptTokens);
        }
    }

    static Answer[] Answers(string folder) => JsonSerializer.Deserialize<Answer[]>(
        File.ReadAllText(Path.Combine(folder, "references.json")),
        new JsonSerializerOptions { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip })!;

    /// <summary>What the reference makes of an image for one prompt, and for further ones.</summary>
    sealed record Answer(string Prompt, int[] InputIds, int MaxNewTokens, int[] GeneratedIds, string Text, string Image = "", Answer[]? More = null);

    public sealed class Loaded : IAsyncLifetime
    {
        public MedicalCaptioner Captioner { get; private set; } = null!;

        public async ValueTask InitializeAsync() => Captioner = await MedicalCaptioner.LoadAsync(TinyModel.Path);

        public ValueTask DisposeAsync() => Captioner.DisposeAsync();
    }
}
