namespace MedVlm.Tokenizers;

/// <summary>Reads a BPE tokenizer with byte fallback (Llama, Mistral, Phi-3); every part that changes ids or text is understood or refused.</summary>
internal static class ByteFallbackJson
{
    public static Tokenizer Read(JsonField root)
    {
        RequireNormalizer(root["normalizer"]);
        if (!root["pre_tokenizer"].IsNull)
            throw root["pre_tokenizer"].Refused("is there; supported beside byte_fallback is none");
        RequireDecoder(root["decoder"]);

        var model = root["model"];
        ByteLevelJson.RefuseExtras(model);
        if (model["ignore_merges"].Flag(fallback: false))
            throw model["ignore_merges"].Unsupported("false beside byte_fallback");

        var vocabulary = ByteLevelJson.ReadVocabulary(model["vocab"]);
        int[] bytes = [.. Enumerable.Range(0, 256).Select(value => vocabulary.TryGetValue(ByteFallbackBpe.ByteToken(value), out int id)
            ? id
            : throw model["vocab"].Refused($"has no token {ByteFallbackBpe.ByteToken(value)}, though byte_fallback is set"))];
        var merges = ByteLevelJson.ReadMerges(model["merges"], vocabulary);

        var (all, added) = TokenizerJson.AddTokens(vocabulary, root["added_tokens"]);
        TokenizerJson.RefuseNormalized(added, root["added_tokens"]);
        return new Tokenizer(
            all, added, new ByteFallbackBpe(vocabulary, bytes, merges), () => new ByteFallbackDecoder(all), ReadStart(root["post_processor"]));
    }

    /// <summary>"▁" in front of each stretch, then "▁" for each blank.</summary>
    static void RequireNormalizer(JsonField normalizer)
    {
        if (Steps(normalizer, "normalizers") is not [var prepend, var replace]
            || prepend["type"].Text() != "Prepend" || prepend["prepend"].Text() != $"{ByteFallbackBpe.Blank}"
            || !Replaces(replace, " ", $"{ByteFallbackBpe.Blank}"))
            throw normalizer.Refused("is not the one that prepends \"▁\" and replaces each blank by it, which byte_fallback is run with");
    }

    static void RequireDecoder(JsonField decoder)
    {
        if (Steps(decoder, "decoders") is not [var replace, var bytes, var fuse, var strip]
            || !Replaces(replace, $"{ByteFallbackBpe.Blank}", " ")
            || bytes["type"].Text() != "ByteFallback" || fuse["type"].Text() != "Fuse"
            || strip["type"].Text() != "Strip" || strip["content"].Text() != " " || strip["start"].Whole(9) != 1 || strip["stop"].Whole(9) != 0)
            throw decoder.Refused("is not \"Replace\", \"ByteFallback\", \"Fuse\" and \"Strip\" of one blank, which byte_fallback is run with");
    }

    static List<JsonField> Steps(JsonField part, string name) =>
        part.IsNull || part["type"].Text() != "Sequence" ? [] : [.. part[name].Items()];

    static bool Replaces(JsonField step, string from, string to) =>
        step["type"].Text() == "Replace" && step["pattern"]["String"].Text() == from && step["content"].Text() == to;

    /// <summary>The tokens in front of the text; none behind it.</summary>
    static int[] ReadStart(JsonField postProcessor)
    {
        if (postProcessor.IsNull)
            return [];
        if (postProcessor["type"].Text() != "TemplateProcessing")
            throw postProcessor["type"].Unsupported("\"TemplateProcessing\"", "none");

        var single = postProcessor["single"];
        var steps = single.Items().ToList();
        if (steps.Count == 0 || steps.FindIndex(step => step["SpecialToken"].IsNull) != steps.Count - 1)
            throw single.Refused("does not end with the text");
        return [.. steps[..^1].SelectMany(step => postProcessor["special_tokens"][step["SpecialToken"]["id"].Text()]["ids"].Items())
            .Select(id => id.Whole(TokenizerJson.LargestId))];
    }
}
