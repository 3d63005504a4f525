using System.Text;
using System.Text.Json;
using MedVlm.Checkpoints;

namespace MedVlm.Tokenizers;

/// <summary>Reads a byte-level BPE tokenizer; every part and setting that changes ids is understood or refused.</summary>
internal static class ByteLevelJson
{
    const int MostSplitters = 8;   // real tokenizers have two; each costs a level of recursion

    public static Tokenizer Read(JsonField root)
    {
        var normalization = Normalization(root["normalizer"]);
        var splitters = ReadSplitters(root["pre_tokenizer"]);
        RequireByteLevel(root["post_processor"], optional: true);   // it moves offsets, and adds no tokens
        RequireByteLevel(root["decoder"], optional: false);
        var tokens = ReadTokens(root["model"]);
        var (model, (vocabulary, added)) = Beside.Run(
            () => ReadModel(root["model"], tokens), () => TokenizerJson.AddTokens(tokens, root["added_tokens"]));

        if (normalization is not null)
            TokenizerJson.RefuseNormalized(added, root["added_tokens"]);

        return new Tokenizer(vocabulary, added, new ByteLevelBpe(model, normalization, splitters), () => new ByteLevelDecoder(vocabulary));
    }

    static NormalizationForm? Normalization(JsonField normalizer)
    {
        if (normalizer.IsNull)
            return null;
        var type = normalizer["type"];
        return type.Text() == "NFC" ? NormalizationForm.FormC : throw type.Unsupported("\"NFC\"", "no normalizer");
    }

    static Splitter[] ReadSplitters(JsonField preTokenizer)
    {
        var steps = Steps(preTokenizer).Take(MostSplitters + 1).ToList();
        if (steps.Count > MostSplitters)
            throw preTokenizer.Damaged($"has more than {MostSplitters} steps");
        var splitters = steps.Select(ReadSplitter).ToList();
        if (steps.FindIndex(step => step["type"].Text() == "ByteLevel") != steps.Count - 1)
            throw preTokenizer.Refused("does not have one \"ByteLevel\", at its end");
        return [.. splitters.OfType<Splitter>()];
    }

    /// <summary>A sequence's steps in order, whatever is nested in it (JSON's depth is bounded by the parser).</summary>
    static IEnumerable<JsonField> Steps(JsonField preTokenizer)
    {
        if (preTokenizer.IsNull || preTokenizer["type"].Text() != "Sequence")
            return [preTokenizer];
        return preTokenizer["pretokenizers"].Items().SelectMany(Steps);
    }

    static Splitter? ReadSplitter(JsonField step) => step["type"].Text() switch
    {
        "ByteLevel" => ByteLevel(step),
        "Digits" => step["individual_digits"].Flag() ? Splitters.IndividualDigits : Splitters.DigitRuns,
        "Split" => Split(step),
        _ => throw step["type"].Unsupported("\"ByteLevel\"", "\"Digits\"", "\"Sequence\"", "\"Split\""),
    };

    static Splitter? ByteLevel(JsonField step)
    {
        if (step["add_prefix_space"].Flag())
            throw step["add_prefix_space"].Unsupported("false");
        return step["use_regex"].Flag(fallback: true) ? Splitters.Gpt2 : null;
    }

    static Splitter Split(JsonField step)
    {
        if (step["behavior"].Text() != "Isolated")
            throw step["behavior"].Unsupported("\"Isolated\"");
        if (step["invert"].Flag(fallback: false))
            throw step["invert"].Unsupported("false");

        var pattern = step["pattern"]["Regex"];
        return Splitters.ForPattern(pattern.Text())
            ?? throw pattern.Unsupported("the pattern of GPT-2", "the pattern of Qwen2", "groups of three digits");   // .NET's Regex would be wrong above U+FFFF
    }

    static void RequireByteLevel(JsonField part, bool optional)
    {
        if (part.IsNull && optional)
            return;
        if (part.IsNull || part["type"].Text() != "ByteLevel")
            throw (part.IsNull ? part : part["type"]).Unsupported(optional ? ["\"ByteLevel\"", "none"] : ["\"ByteLevel\""]);
    }

    internal static BpeModel ReadModel(JsonField model) => ReadModel(model, ReadTokens(model));

    static BpeModel ReadModel(JsonField model, Dictionary<string, int> vocabulary) =>
        new(vocabulary, ReadMerges(model["merges"], vocabulary), model["ignore_merges"].Flag(fallback: false));

    static Dictionary<string, int> ReadTokens(JsonField model)
    {
        if (model["byte_fallback"].Flag(fallback: false))
            throw model["byte_fallback"].Unsupported("false");
        RefuseExtras(model);

        var vocabulary = ReadVocabulary(model["vocab"]);
        var unknown = model["unk_token"];
        if (!unknown.IsNull && !ByteAlphabet.Tokens.All(vocabulary.ContainsKey))
            throw unknown.Unsupported("none where a byte has no token");
        return vocabulary;
    }

    /// <summary>What no BPE model of these families has.</summary>
    internal static void RefuseExtras(JsonField model)
    {
        if (!model["dropout"].IsNull)
            throw model["dropout"].Unsupported("none");
        foreach (var affix in new[] { model["continuing_subword_prefix"], model["end_of_word_suffix"] })
            if (!affix.IsNull && affix.Text().Length > 0)
                throw affix.Unsupported("none");
    }

    internal static Dictionary<string, int> ReadVocabulary(JsonField vocab)
    {
        var (vocabulary, ids) = (new Dictionary<string, int>(vocab.Count), new HashSet<int>(vocab.Count));
        foreach (var field in vocab.Fields())
        {
            var id = field.Whole(TokenizerJson.LargestId);
            if (!ids.Add(id))
                throw field.Damaged($"is {id}, which \"{vocabulary.First(entry => entry.Value == id).Key}\" has already");
            vocabulary.Add(field.Name!, id);
        }
        return vocabulary.Count > 0 ? vocabulary : throw vocab.Damaged("is empty");
    }

    /// <summary>The merges, best first. A file has up to some 280,000 of them, and every load waits for them: fields that know their place are made for faults only.</summary>
    internal static BytePairMerges ReadMerges(JsonField field, Dictionary<string, int> vocabulary)
    {
        var (merges, index) = (new BytePairMerges(field.Count), 0);
        var tokens = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        Span<char> longest = stackalloc char[256];
        foreach (var item in field.Elements())
        {
            var (left, right) = Pair(item) ?? throw field.At(index).Wrong("a pair of tokens without blanks");
            int length = left.Length + right.Length;
            var merged = length <= longest.Length ? longest[..length] : new char[length];
            left.CopyTo(merged);
            right.CopyTo(merged[left.Length..]);
            if (!merges.TryAdd(Id(left, tokens), Id(right, tokens), Id(merged, tokens)))
                throw field.At(index).Damaged($"repeats the merge of \"{left}\" and \"{right}\"");
            index++;
        }
        return merges;

        int Id(ReadOnlySpan<char> token, Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> tokens) =>
            tokens.TryGetValue(token, out var id) ? id : throw field.At(index).Damaged($"needs the token \"{token}\", which model.vocab lacks");

        // Text that is no Unicode has a complaint of its own.
        (string, string)? Pair(JsonElement merge)
        {
            try
            {
                string[] two = merge.ValueKind switch
                {
                    JsonValueKind.Array when merge.GetArrayLength() == 2 => [merge[0].GetString()!, merge[1].GetString()!],
                    JsonValueKind.String => merge.GetString()!.Split(' '),
                    _ => [],
                };
                return two is [{ Length: > 0 } left, { Length: > 0 } right] && !left.Contains(' ') && !right.Contains(' ') ? (left, right) : null;
            }
            catch (InvalidOperationException)
            {
                var item = field.At(index);
                foreach (var token in item.IsArray ? item.Items() : [item])
                    token.Text();
                return null;
            }
        }
    }
}
