using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace MedVlm.Tests.Captioners;

/// <summary>A captioner behind <see cref="IChatClient"/>: what the chat options leave open is the captioner's to say.</summary>
public sealed class ChatClientTests
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    static ChatMessage Message => new(ChatRole.User,
    [
        new DataContent(File.ReadAllBytes(Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg")), "image/jpeg"), new TextContent("Describe the image."),
    ]);

    [Theory, InlineData(null, 2), InlineData(3, 3)]
    public async Task Captions_are_as_long_as_the_captioners_options_say(int? asked, int expected)
    {
        var services = new ServiceCollection();
        services.AddMedicalCaptioner(options => options.DefaultCaption.MaxNewTokens = 2).UseTinyModel();
        await using var provider = services.BuildServiceProvider();
        using var client = provider.GetRequiredService<IMedicalCaptioner>().AsChatClient();   // not loaded yet

        var response = await client.GetResponseAsync(Message, new ChatOptions { MaxOutputTokens = asked }, Token);

        Assert.Equal((expected, ChatFinishReason.Length), (response.Usage!.OutputTokenCount, response.FinishReason));
    }

    [Fact]
    public async Task Instructions_are_refused_like_a_system_message()
    {
        await using var captioner = await MedicalCaptioner.LoadAsync(TinyModel.Path, Token);
        using var client = captioner.AsChatClient();

        var error = await Assert.ThrowsAsync<NotSupportedException>(() => client.GetResponseAsync(Message, new ChatOptions { Instructions = "Be brief." }, Token));

        Assert.Equal("A captioner takes no instructions beside its prompt: put them into the message's text.", error.Message);
    }
}
