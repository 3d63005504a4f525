namespace MedVlm.Tokenizers;

/// <summary>Tokens and their ids: the model's own and the added ones, each id once.</summary>
internal sealed class Vocabulary
{
    readonly IReadOnlyDictionary<string, int> _model;
    readonly Dictionary<string, AddedToken> _added;
    readonly string?[] _tokens;
    readonly HashSet<int> _special;

    /// <param name="model">The model's own tokens, each id once.</param>
    /// <param name="added">Added tokens; one that the model has as well has the same id there.</param>
    public Vocabulary(IReadOnlyDictionary<string, int> model, IReadOnlyList<AddedToken> added)
    {
        (_model, _added) = (model, added.ToDictionary(token => token.Content));
        _special = [.. added.Where(token => token.Special).Select(token => token.Id)];
        _tokens = new string?[Math.Max(model.Values.Max(), added.Select(token => token.Id).DefaultIfEmpty().Max()) + 1];
        foreach (var (token, id) in model)
            _tokens[id] = token;
        foreach (var token in added)
            _tokens[token.Id] = token.Content;
    }

    public int Size => _tokens.Length;

    public int? TokenId(string token) =>
        _added.TryGetValue(token, out var added) ? added.Id : _model.TryGetValue(token, out var id) ? id : null;

    public string? Token(int id) => (uint)id < (uint)_tokens.Length ? _tokens[id] : null;

    public bool IsSpecial(int id) => _special.Contains(id);
}
