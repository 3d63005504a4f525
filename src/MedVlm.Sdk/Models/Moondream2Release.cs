using MedVlm.Checkpoints;
using MedVlm.Tokenizers;

namespace MedVlm.Models;

/// <summary>
/// A published generation of Moondream2. Their config.json, tensor names and sizes are the same; tokenizer and templates are not, and are
/// in the code beside the weights.
/// </summary>
/// <param name="Name">The revisions of the hub's repository.</param>
/// <param name="Tokens">Ids and templates where config.json has none.</param>
/// <param name="SpaceBeforeQuestion">Whether a question is encoded with a space before it.</param>
/// <param name="SuffixTwice">Whether the suffix of a question stands twice.</param>
/// <param name="SuppressesAnswer">Whether the answer token is never chosen after the first token.</param>
internal sealed record Moondream2Release(
    string Name, Moondream2Config.Tokens Tokens, bool SpaceBeforeQuestion = false, bool SuffixTwice = false, bool SuppressesAnswer = false)
{
    const string Code = "moondream.py", TokenizerFile = "tokenizer.json", Starmie = "moondream/starmie-v1", StarmieToken = "<|md_reserved_0|>",
        EndOfText = "<|endoftext|>";

    static readonly int[] s_short = [198, 198, 16438, 8305, 25], s_normal = [198, 198, 24334, 1159, 25], s_long = [198, 198, 14617, 8305, 25];
    static readonly Moondream2Config.Query s_query = new([198, 198, 24361, 25], [198, 198, 33706, 25]);

    public static readonly Moondream2Release January2025 = new(
        "2025-01-09", new(50256, 50256, new(new(s_short, s_normal), s_query)));

    public static readonly Moondream2Release March2025 = new(
        "2025-03-27 and 2025-04-14", new(50256, 50256, new(new(s_short, s_normal, s_long), s_query)), SpaceBeforeQuestion: true);

    public static readonly Moondream2Release June2025 = new(
        "2025-06-21",
        new(0, 0, new(
            new([1, 32708, 2, 12492, 3], [1, 32708, 2, 6382, 3], [1, 32708, 2, 4059, 3]), new([1, 15381, 2], [3])), AnswerId: 3),
        SuffixTwice: true, SuppressesAnswer: true);

    /// <summary>Tells the generation by the code in the folder; without it, by ids and templates that config.json spells out.</summary>
    /// <exception cref="UnsupportedModelException">It is another one, or nothing tells which.</exception>
    public static Moondream2Release Of(Checkpoint checkpoint, Moondream2Config.Settings? config)
    {
        if (config is null)
            throw Refused("config.json has no \"config\", as the revisions of 2024 have none");

        if (checkpoint.Has(Code))
            return checkpoint.Mentions(Code, Starmie) ? June2025
                : checkpoint.Mentions(Code, "encode(\" \" + question)") ? March2025
                : checkpoint.Mentions(Code, "encode(question)") ? January2025
                : throw Refused($"{Code} is of none of them");

        if (config.Tokenizer is { } tokens)
            return tokens.AnswerId is not null ? June2025 : tokens.Templates.Caption?.Long is not null ? March2025 : January2025;

        return checkpoint.Mentions(TokenizerFile, StarmieToken)
            ? June2025
            : throw Refused($"nothing tells which revision this is: {Code} is missing, and \"config\" in config.json does not name its tokens");

        static UnsupportedModelException Refused(string reason) => new(
            $"Moondream2: {reason}. Supported are the revisions {January2025.Name}, {March2025.Name}, and {June2025.Name}. "
            + $"Take one of these with all its files: hf download vikhyatk/moondream2 --revision {June2025.Name}");
    }

    /// <summary>
    /// The tokenizer that the generation was trained with. That of 2025-06-21 is in a repository of its own: the tokenizer.json beside the
    /// weights is the one before it, and is never taken.
    /// </summary>
    /// <exception cref="ModelNotFoundException">The companion repository is not on this machine.</exception>
    /// <exception cref="CheckpointException">The tokenizer is of another generation, or damaged.</exception>
    public Tokenizer LoadTokenizer(ModelSource source, int endOfText, HubCache? cache)
    {
        bool own = this != June2025 || source.Checkpoint.Mentions(TokenizerFile, StarmieToken);
        var path = source.TokenizerSource is null && own
            ? source.Checkpoint.PathOf(TokenizerFile)
            : ModelLocator.FindFile(
                source.TokenizerSource ?? Starmie, TokenizerFile, $"Tokenizer of Moondream2 {Name}",
                cache ?? HubCache.FromEnvironment(Environment.GetEnvironmentVariable));

        var tokenizer = Tokenizer.Load(path);
        bool starmie = tokenizer.TokenId(StarmieToken) is not null;
        if (starmie != (this == June2025) || tokenizer.TokenId(EndOfText) != endOfText)
            throw new CheckpointException(
                $"{TokenizerFile}: it is not the tokenizer of Moondream2 {Name}, whose captions it would turn to nonsense. "
                + (this == June2025
                    ? $"That is in a repository of its own; the one beside the weights is stale: hf download {Starmie} {TokenizerFile}"
                    : "Take the one beside the weights: leave MedicalCaptionerOptions.Tokenizer null."));
        return tokenizer;
    }
}
