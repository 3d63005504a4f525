namespace MedVlm.Tokenizers;

/// <summary>Reads a WordPiece tokenizer; every part and setting that changes ids or text is understood or refused.</summary>
internal static class WordPieceJson
{
    public const int LongestWord = 100;   // characters; what the reference takes where a file does not say

    public static Tokenizer Read(JsonField root, BertConfig config)
    {
        var normalization = Normalization(root["normalizer"], config);
        Require(root["pre_tokenizer"], "BertPreTokenizer");
        RequireTemplate(root["post_processor"]);
        var decoding = Decoding(root["decoder"], config);
        var model = ReadModel(root["model"]);
        var (vocabulary, added) = TokenizerJson.AddTokens(model.Vocabulary, root["added_tokens"]);
        if (added.FindIndex(token => token.Normalized) is >= 0 and var index)
            throw root["added_tokens"].Items().ElementAt(index)["normalized"].Unsupported("false beside a normalizer");

        return new Tokenizer(vocabulary, added, new WordPiece(model, normalization), () => new WordPieceDecoder(vocabulary, decoding));
    }

    static BertNormalization Normalization(JsonField normalizer, BertConfig config)
    {
        Require(normalizer, "BertNormalizer");
        var (lowercase, chinese, accents) = (normalizer["lowercase"], normalizer["handle_chinese_chars"], normalizer["strip_accents"]);
        BertConfig.RequireSame(lowercase, config.Lowercase, "do_lower_case");
        BertConfig.RequireSame(chinese, config.ChineseChars, "tokenize_chinese_chars");
        BertConfig.RequireSame(accents, config.StripAccents, "strip_accents");
        return new BertNormalization(normalizer["clean_text"].Flag(), chinese.Flag(), accents.Flag(fallback: lowercase.Flag()), lowercase.Flag());
    }

    static WordPieceDecoding Decoding(JsonField decoder, BertConfig config)
    {
        Require(decoder, "WordPiece");
        return new WordPieceDecoding(decoder["prefix"].Text(), decoder["cleanup"].Flag(), config.CleanUpText);
    }

    static WordPieceModel ReadModel(JsonField model)
    {
        var vocabulary = ByteLevelJson.ReadVocabulary(model["vocab"]);
        var (unknown, prefix) = (model["unk_token"], model["continuing_subword_prefix"]);
        if (!vocabulary.ContainsKey(unknown.Text()))
            throw unknown.Damaged($"is \"{unknown.Text()}\", which model.vocab lacks");

        var longest = model["max_input_chars_per_word"];
        return new WordPieceModel(
            vocabulary, unknown.Text(), prefix.Text().Length > 0 ? prefix.Text() : throw prefix.Unsupported("text that is not empty"),
            longest.IsNull ? LongestWord : longest.Whole(1 << 20));
    }

    /// <summary>One token in front of a text and one behind it: the families that use this tokenizer put their own there.</summary>
    static void RequireTemplate(JsonField postProcessor)
    {
        if (!postProcessor.IsNull && postProcessor["type"].Text() == "BertProcessing")
            return;
        Require(postProcessor, "TemplateProcessing");
        var single = postProcessor["single"];
        bool[] tokens = [.. single.Items().Select(step => !step["SpecialToken"].IsNull)];
        if (tokens is not [true, false, true])
            throw single.Refused("is no token, the text, and a token");
    }

    static void Require(JsonField part, string type)
    {
        if (part.IsNull || part["type"].Text() != type)
            throw (part.IsNull ? part : part["type"]).Unsupported($"\"{type}\"");
    }
}
