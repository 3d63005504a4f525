namespace MedVlm.Tokenizers;

/// <summary>Tokens and their ids, added tokens included.</summary>
internal sealed class Vocabulary
{
    readonly Dictionary<string, int> _ids;
    readonly string?[] _tokens;
    readonly HashSet<int> _special = [];

    /// <param name="model">The model's own tokens, each id once.</param>
    /// <param name="added">Added tokens; one that the model has as well has the same id there.</param>
    public Vocabulary(IReadOnlyDictionary<string, int> model, IReadOnlyList<AddedToken> added)
    {
        _ids = new(model);   // the model's own stays without added tokens: they are never made by merging
        var largest = added.Select(token => token.Id).Concat(model.Values).DefaultIfEmpty(-1).Max();
        _tokens = new string?[largest + 1];
        foreach (var token in added)
        {
            _ids[token.Content] = token.Id;
            if (token.Special)
                _special.Add(token.Id);
        }
        foreach (var (token, id) in _ids)
            _tokens[id] = token;
    }

    public int Size => _tokens.Length;

    public int? TokenId(string token) => _ids.TryGetValue(token, out var id) ? id : null;

    public string? Token(int id) => (uint)id < (uint)_tokens.Length ? _tokens[id] : null;

    public bool IsSpecial(int id) => _special.Contains(id);
}
