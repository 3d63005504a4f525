namespace MedVlm.Benchmarks;

/// <summary>Where the benchmarks find their files.</summary>
internal static class Places
{
    static readonly string[] s_tokenizerFiles = ["tokenizer.model", "tokenizer.json", "vocab.txt"];

    /// <summary>A family's full-size configuration, beside the program.</summary>
    public static string Config(string family) => Path.Combine(AppContext.BaseDirectory, "configs", family) is var folder && Directory.Exists(folder)
        ? folder
        : throw new UsageException($"There is no full-size configuration of {family} in {Path.Combine(AppContext.BaseDirectory, "configs")}.");

    /// <summary>A path in the checkout.</summary>
    public static string InCheckout(params string[] path) => Path.Combine([Checkout, .. path]);

    /// <summary>
    /// A published tokenizer, which is third-party and so lies beside the checkout. Moondream2's cannot be had here: the goldens' small
    /// one splits a prompt into other tokens, but serves to measure speed.
    /// </summary>
    public static string Tokenizer(string family) =>
        s_tokenizerFiles.Select(file => InCheckout("..", "shared", "tokenizers", family, file))
            .Prepend(InCheckout("tests", "goldens", family, "starmie-v1", "tokenizer.json"))
            .FirstOrDefault(File.Exists)
        ?? throw new UsageException(
            $"Give the tokenizer of {family} by --tokenizer FILE ({string.Join(" or ", s_tokenizerFiles)}): it is the publisher's, and no part of this project.");

    static string Checkout
    {
        get
        {
            for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
                if (File.Exists(Path.Combine(folder.FullName, "MedVlm.Sdk.sln")))
                    return folder.FullName;
            throw new UsageException("This command wants files of the checkout: run it from there (dotnet run --project tests/MedVlm.Sdk.Benchmarks).");
        }
    }
}
