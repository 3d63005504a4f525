namespace MedVlm.Evaluation.Tokens;

/// <summary>Takes the tokens of a text one after another, without a string for each.</summary>
internal abstract class TokenSink
{
    public abstract void Add(ReadOnlySpan<char> token);
}

/// <summary>Keeps them as texts.</summary>
internal sealed class TokenList : TokenSink
{
    public List<string> Tokens { get; } = [];

    public override void Add(ReadOnlySpan<char> token) => Tokens.Add(token.ToString());
}

/// <summary>Keeps them as ids of a vocabulary.</summary>
internal sealed class TokenRow(Vocabulary vocabulary) : TokenSink
{
    readonly List<int> _ids = [];

    public override void Add(ReadOnlySpan<char> token) => _ids.Add(vocabulary.IdOf(token));

    /// <summary>The ids since the last call.</summary>
    public int[] Take()
    {
        int[] ids = [.. _ids];
        _ids.Clear();
        return ids;
    }
}
