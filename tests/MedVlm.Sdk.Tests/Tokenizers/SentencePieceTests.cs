using System.Text;
using Google.Protobuf;
using MedVlm.Tokenizers;

namespace MedVlm.Tests.Tokenizers;

/// <summary>What is understood of a tokenizer.model, and what is said about one that is wrong. It is not trusted.</summary>
public sealed class SentencePieceTests
{
    const string Advice = " The file is damaged: take it anew from the checkpoint's source.";
    const string Refusal = " This library cannot run this tokenizer.";

    const int ModelType = 3, BlankAsSuffix = 24, ByteFallback = 35, DummyPrefix = 3, RemoveBlanks = 4, EscapeBlanks = 5, CharacterMap = 2;

    [Fact]
    public void The_best_score_merges_first_and_of_equal_ones_the_leftmost()
    {
        // "abc" is a·bc or ab·c: the score of what is made decides, not the order in the file.
        var tokenizer = Parse(Model([("▁", -9, 1), ("a", -9, 1), ("b", -9, 1), ("c", -9, 1), ("ab", -2, 1), ("bc", -1, 1), ("abc", -3, 1), ("aa", -2, 1)]));

        Assert.Equal(Ids(tokenizer, "▁", "abc"), tokenizer.Encode("abc"));
        Assert.Equal(Ids(tokenizer, "▁", "aa", "bc"), tokenizer.Encode("aabc"));
        Assert.Equal(Ids(tokenizer, "▁", "aa", "b"), tokenizer.Encode("aab"));      // aa and ab are equal: aa is further left
        Assert.Equal(Ids(tokenizer, "▁", "ab", "aa"), tokenizer.Encode("abaa"));
        Assert.Equal(Ids(tokenizer, "▁", "<0xC3>", "<0xA9>"), tokenizer.Encode("é"));
    }

    [Theory]
    [InlineData(ModelType, 1, "model_type is 1; supported is 2 (BPE)." + Refusal)]
    [InlineData(ByteFallback, 0, "byte_fallback is false; supported is true." + Refusal)]
    [InlineData(BlankAsSuffix, 1, "treat_whitespace_as_suffix is true; supported is false." + Refusal)]
    public void Another_kind_of_model_is_refused(int field, int value, string message) =>
        Assert.Equal("tokenizer.model: " + message, Fault(Model(trainer: [(field, value)])));

    [Theory]
    [InlineData(DummyPrefix, 0, "add_dummy_prefix is false; supported is true." + Refusal)]
    [InlineData(RemoveBlanks, 1, "remove_extra_whitespaces is true; supported is false." + Refusal)]
    [InlineData(EscapeBlanks, 0, "escape_whitespaces is false; supported is true." + Refusal)]
    [InlineData(CharacterMap, -1, "it normalizes text; supported is the normalization \"identity\"." + Refusal)]
    public void Another_normalization_is_refused(int field, int value, string message) =>
        Assert.Equal("tokenizer.model: " + message, Fault(Model(normalizer: [(field, value)])));

    [Theory]
    [InlineData("a", 0f, 1, "piece 260 is \"a\", as piece 259 is." + Advice)]
    [InlineData("", 0f, 1, "piece 260 has 0 bytes; expected are 1 to 256 of UTF-8." + Advice)]
    [InlineData("b", float.NaN, 1, "piece 260 has score NaN and type 1." + Advice)]
    [InlineData("b", 0f, 9, "piece 260 has score 0 and type 9." + Advice)]
    [InlineData("b", 0f, 4, "piece 260 is of type UserDefined." + Refusal)]
    [InlineData("b", 0f, 5, "piece 260 is of type Unused." + Refusal)]
    [InlineData("ab", 0f, 1, "piece 260 is \"ab\", of which a character is no piece itself." + Refusal)]
    public void A_piece_that_is_wrong_is_named(string text, float score, int type, string message) =>
        Assert.Equal("tokenizer.model: " + message, Fault(Model([("a", 0, 1), (text, score, type)])));

    [Fact]
    public void A_file_that_is_no_model_at_all_is_refused()
    {
        Assert.StartsWith("tokenizer.model: it has 0 pieces.", Fault([]));
        Assert.StartsWith("tokenizer.model: no SentencePiece model (", Fault(Encoding.UTF8.GetBytes("{\"model\": 1}")));
        Assert.Equal("tokenizer.model: not in the checkpoint's folder. Download the checkpoint completely.", Assert.Throws<CheckpointException>(
            () => Tokenizer.Load(Path.Combine(TestFolders.Repository, "Rö 胸部", "tokenizer.model"))).Message);
    }

    [Fact]
    public void A_damaged_file_loads_and_encodes_or_is_refused_with_reason()
    {
        var original = File.ReadAllBytes(Path.Combine(SmallTokenizers.Goldens, "llava-med", "checkpoint", "tokenizer.model"));
        int tried = Fuzz.Run<CheckpointException>([original, Model([("▁", 0, 1), ("a", 0, 1)])], bytes =>
        {
            var tokenizer = SentencePieceFile.Parse(bytes, "tokenizer.model");
            tokenizer.Decode(tokenizer.Encode("[INST] the 12 mm lésion's  𝕏\n<s>"));
        });
        Assert.True(tried > 100, $"{tried}");
    }

    static int[] Ids(Tokenizer tokenizer, params string[] tokens) => [.. tokens.Select(token => tokenizer.TokenId(token)!.Value)];

    static Tokenizer Parse(byte[] model) => SentencePieceFile.Parse(model, "tokenizer.model");

    static string Fault(byte[] model) => Assert.Throws<CheckpointException>(() => Parse(model)).Message;

    /// <summary>A right model with further pieces and settings: three control pieces, then 256 bytes.</summary>
    static byte[] Model(
        (string Text, float Score, int Type)[]? pieces = null, (int Field, int Value)[]? trainer = null, (int Field, int Value)[]? normalizer = null)
    {
        (string, float, int)[] all =
        [
            ("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), .. Enumerable.Range(0, 256).Select(value => ($"<0x{value:X2}>", 0f, 6)), .. pieces ?? [],
        ];
        return Message(output =>
        {
            foreach (var (text, score, type) in all)
                Nested(output, 1, piece =>
                {
                    piece.WriteTag(1, WireFormat.WireType.LengthDelimited);
                    piece.WriteString(text);
                    piece.WriteTag(2, WireFormat.WireType.Fixed32);
                    piece.WriteFloat(score);
                    Number(piece, 3, type);
                });
            Nested(output, 2, spec => Settings(spec, [(ModelType, 2), (ByteFallback, 1), .. trainer ?? []]));
            Nested(output, 3, spec => Settings(spec, [(DummyPrefix, 1), (RemoveBlanks, 0), .. normalizer ?? []]));
        });
    }

    /// <summary>-1 stands for bytes.</summary>
    static void Settings(CodedOutputStream output, (int Field, int Value)[] settings)
    {
        foreach (var (field, value) in settings)
            if (value >= 0)
                Number(output, field, value);
            else
                Nested(output, field, bytes => bytes.WriteRawTag(1));
    }

    static void Number(CodedOutputStream output, int field, int value)
    {
        output.WriteTag(field, WireFormat.WireType.Varint);
        output.WriteInt32(value);
    }

    static void Nested(CodedOutputStream output, int field, Action<CodedOutputStream> write)
    {
        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteBytes(ByteString.CopyFrom(Message(write)));
    }

    static byte[] Message(Action<CodedOutputStream> write)
    {
        using var bytes = new MemoryStream();
        using (var output = new CodedOutputStream(bytes, leaveOpen: true))
            write(output);
        return bytes.ToArray();
    }
}
