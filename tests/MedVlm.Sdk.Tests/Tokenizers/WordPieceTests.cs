using System.Diagnostics;
using System.Text;
using System.Text.Json;
using CsCheck;
using MedVlm.Tests.Checkpoints;
using MedVlm.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

/// <summary>BERT's rules, with vocabularies of a few lines. The real one is held against the reference by the golden tests.</summary>
public sealed class WordPieceTests
{
    static readonly string[] s_specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

    static Tokenizer Of(params string[] tokens) => Of(new BertConfig(CleanUpText: true), tokens);

    static Tokenizer Of(BertConfig config, params string[] tokens) =>
        VocabularyText.Parse(Encoding.UTF8.GetBytes(string.Join('\n', s_specials.Concat(tokens)) + "\n"), config);

    [Theory]
    [InlineData("Plain  Text", "plain  text")]
    [InlineData("a\tb\r\nc\u00A0d\u3000e\u2028f", "a b  c d e f")]
    [InlineData("a\u0000b\u0007c\uFFFDd\u200Be\u00ADf\uE000g\u0085h", "abcdefgh")]       // control, format, private use
    [InlineData("a\u0378b", "a\u0378b")]                                                 // unassigned stays
    [InlineData("CT胸部像", "ct 胸  部  像 ")]
    [InlineData("x\U00020000y\U0002B820z", "x \U00020000 y\U0002B820z")]                 // the reference's blocks have a gap
    [InlineData("LÉSION Ünïcode e\u0301", "lesion unicode e")]
    [InlineData("İI", "ii")]
    [InlineData("ΣΑΣ", "σασ")]                                                           // no final sigma
    [InlineData("한", "\u1112\u1161\u11AB")]
    [InlineData("K Ω Å", "k ω a")]                                                       // Kelvin, Ohm, Angstrom
    [InlineData("𝕏ß", "𝕏ß")]
    public void A_text_is_normalized_as_by_the_reference(string text, string expected) =>
        Assert.Equal(expected, new BertNormalization(CleanText: true, ChineseChars: true, StripAccents: true, Lowercase: true).Apply(text));

    [Fact]
    public void Without_lower_case_accents_stay_but_for_a_wish()
    {
        Assert.Equal("É\u0301 I", new BertNormalization(true, true, StripAccents: false, Lowercase: false).Apply("É\u0301 I"));
        Assert.Equal("i\u0307", new BertNormalization(true, true, StripAccents: false, Lowercase: true).Apply("İ"));

        Assert.Equal([5], Of(new BertConfig(Lowercase: false), "É").Encode("É"));
        Assert.Equal([5], Of(new BertConfig(Lowercase: false, StripAccents: true), "E").Encode("É"));
        Assert.Equal([5], Of(new BertConfig(StripAccents: false), "é").Encode("É"));
        Assert.Equal([5], Of(new BertConfig(ChineseChars: false), "a字").Encode("a字"));
    }

    [Fact]
    public void Every_character_can_be_normalized()
    {
        var all = new StringBuilder();
        for (int c = 0; c < 0x110000; c++)
            if (Rune.IsValid(c))
                all.Append(new Rune(c)).Append(' ');
        new BertNormalization(true, true, true, true).Apply(all.ToString());
    }

    [Theory]
    [InlineData("unwanted", "un ##want ##ed")]
    [InlineData("unwant", "un ##want")]
    [InlineData("unwantedly", "[UNK]")]                       // the whole word, not its rest
    [InlineData("un-want", "un - [UNK]")]                     // "want" only continues
    [InlineData("un$un°un", "un $ [UNK]")]                    // ASCII symbols stand alone, others do not
    [InlineData("a [SEP] [sep]", "a [SEP] [UNK] [UNK] [UNK]")]
    [InlineData("", "")]
    [InlineData(" \n", "")]
    public void A_word_is_cut_into_the_longest_pieces(string text, string pieces)
    {
        var tokenizer = Of("un", "##want", "##ed", "##e", "a", "-", "$");
        Assert.Equal(pieces.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(piece => tokenizer.TokenId(piece)!.Value), tokenizer.Encode(text));
    }

    [Theory]
    [InlineData("a", 100, true), InlineData("a", 101, false)]
    [InlineData("𝕏", 100, true), InlineData("𝕏", 101, false)]   // characters, not UTF-16 units
    public void A_word_of_more_than_a_hundred_characters_is_unknown(string letter, int count, bool known)
    {
        var tokenizer = Of(letter, $"##{letter}");
        var ids = tokenizer.Encode(string.Concat(Enumerable.Repeat(letter, count)));
        Assert.Equal(known ? [5, .. Enumerable.Repeat(6, count - 1)] : [1], ids);
    }

    [Theory]
    [InlineData("patient ' s", "patient's")]
    [InlineData("do n ' t", "don't")]            // " ' " goes first, and that makes the " n't"
    [InlineData("do n't", "don't")]
    [InlineData("2 . 3 , 4 ! ?", "2. 3, 4!?")]
    [InlineData("##s patient ##s", "##s patients")]
    [InlineData("' ' '", "'''")]
    [InlineData("s ' ' s", "s'' s")]             // the blank between two quotes belongs to the first
    [InlineData("s ' 's s", "s ''s s")]          // the piece has lost its blank before the text is cleaned up
    [InlineData("s [SEP] s", "s s")]
    public void Decoding_cleans_up_as_the_reference(string pieces, string text)
    {
        var tokenizer = Of("patient", "##s", "s", "'", "t", "n", "do", "n't", "'s", "2", "3", "4", ".", ",", "!", "?");
        Assert.Equal(text, tokenizer.Decode([.. pieces.Split(' ').Select(piece => tokenizer.TokenId(piece)!.Value), 99, -1]));
    }

    [Fact]
    public void Without_the_clean_up_of_the_text_only_pieces_are_cleaned_up()
    {
        var tokenizer = Of(new BertConfig(), "a", "'", "s", ".");
        Assert.Equal("a ' s.", tokenizer.Decode([5, 6, 7, 8]));
    }

    [Fact]
    public void Streamed_pieces_join_to_what_replacing_in_the_whole_text_gives()
    {
        string[] tokens = ["'", "n't", "n", "t", "##'", "'m", "'s", "s", "##s", "'ve", "'v", "re", "'re", "'r", ".", "?", "!", ",", "a", "##a", "do not"];
        var tokenizer = Of(tokens);
        Gen.Int[0, tokenizer.VocabularySize].Array[0, 30].Sample(ids =>
        {
            var stream = new StreamingDetokenizer(tokenizer);
            Assert.Equal(Reference(ids), string.Concat(ids.Select(stream.Add)) + stream.Flush());
            Assert.Equal(Reference(ids), tokenizer.Decode(ids));
        }, iter: 5_000);

        string Reference(int[] ids)
        {
            var text = "";
            bool isFirst = true;
            foreach (var token in ids.Where(id => id >= s_specials.Length && id < tokenizer.VocabularySize).Select(id => tokens[id - s_specials.Length]))
            {
                var piece = isFirst ? token : token.StartsWith("##", StringComparison.Ordinal) ? token[2..] : " " + token;
                text += CleanUp(piece, (" do not", " don't"));
                isFirst = false;
            }
            return CleanUp(text);
        }

        static string CleanUp(string text, params (string, string)[] more)
        {
            (string, string)[] rules =
            [
                (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), .. more, (" 's", "'s"),
                (" 've", "'ve"), (" 're", "'re"),
            ];
            foreach (var (pattern, replacement) in rules)
                text = text.Replace(pattern, replacement);
            return text;
        }
    }

    [Theory]
    [InlineData("a"), InlineData(" "), InlineData("字"), InlineData("."), InlineData("a "), InlineData("\u0301"), InlineData("[SEP]")]
    public void A_megabyte_of_the_same_takes_seconds_at_most(string unit)
    {
        var clock = Stopwatch.StartNew();
        SmallTokenizers.Get("blip").Encode(string.Concat(Enumerable.Repeat(unit, 1_000_000 / unit.Length)), ..);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), $"{clock.Elapsed}");
    }

    [Theory]
    [InlineData("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\na\n", "vocab.txt: line 8 repeats line 6")]
    [InlineData("[PAD]\n[UNK]\n[CLS]\n[MASK]\na\n", "vocab.txt: has no line \"[SEP]\", which is a control token")]
    public void A_vocab_txt_that_cannot_be_right_is_refused(string text, string fault) => Assert.Equal(
        fault + ". The file is damaged: take it anew from the checkpoint's source.",
        Assert.Throws<CheckpointException>(() => VocabularyText.Parse(Encoding.UTF8.GetBytes(text), new BertConfig())).Message);

    [Fact]
    public void Windows_line_ends_count_for_nothing() => Assert.Equal(
        [5, 6], VocabularyText.Parse("[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\na\r\n##b\r\n"u8.ToArray(), new BertConfig()).Encode("ab"));

    [Theory]
    [InlineData("""{ "do_lower_case": false }""",
        "tokenizer.json: normalizer.lowercase is true, but tokenizer_config.json has do_lower_case false. This library cannot run this tokenizer.")]
    [InlineData("""{ "added_tokens_decoder": { "600": { "content": "[DEC]" } } }""",
        "tokenizer_config.json: added_tokens_decoder has \"[DEC]\" as 600, which vocab.txt does not. Take a revision of the checkpoint that has a tokenizer.json.")]
    public void A_tokenizer_config_that_says_otherwise_is_refused(string config, string message)
    {
        using var folder = new TemporaryFolder();
        var checkpoint = Path.Combine(SmallTokenizers.Goldens, "blip", "checkpoint");
        foreach (var file in new[] { "tokenizer.json", "vocab.txt" })
            folder.Write(file, File.ReadAllBytes(Path.Combine(checkpoint, file)));
        folder.Write("tokenizer_config.json", config);

        Assert.Equal(message, Assert.Throws<CheckpointException>(
            () => Tokenizer.Load(folder.File(message[..message.IndexOf(':')] == "tokenizer.json" ? "tokenizer.json" : "vocab.txt"))).Message);
    }

    [Theory]
    [InlineData("\"BertPreTokenizer\"", "\"Whitespace\"", "pre_tokenizer.type is \"Whitespace\"; supported is \"BertPreTokenizer\"")]
    [InlineData("\"BertNormalizer\"", "\"NFC\"", "normalizer.type is \"NFC\"; supported is \"BertNormalizer\"")]
    [InlineData("\"single\": [{\"SpecialToken\": {\"id\": \"[CLS]\", \"type_id\": 0}}, ", "\"single\": [", "post_processor.single is no token, the text, and a token")]
    [InlineData("\"unk_token\": \"[UNK]\"", "\"unk_token\": \"[no]\"", "model.unk_token is \"[no]\", which model.vocab lacks")]
    [InlineData("\"continuing_subword_prefix\": \"##\"", "\"continuing_subword_prefix\": \"\"", "model.continuing_subword_prefix is \"\"; supported is text that is not empty")]
    public void A_tokenizer_json_of_another_kind_is_refused(string from, string to, string message)
    {
        // In one line, as Python writes it.
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(SmallTokenizers.Goldens, "blip", "checkpoint", "tokenizer.json")));
        var json = document.RootElement.GetRawText();
        json = string.Join(' ', json.Split('\n').Select(line => line.Trim())).Replace("[ {", "[{").Replace("{ \"", "{\"").Replace(" }", "}");
        Assert.Contains(from, json);

        var error = Assert.Throws<CheckpointException>(() => TokenizerJson.Parse(Encoding.UTF8.GetBytes(json.Replace(from, to)), "tokenizer.json"));
        Assert.StartsWith($"tokenizer.json: {message}", error.Message);
    }
}
