using System.Text.Json;
using Google.Protobuf;

namespace MedVlm.Tokenizers;

/// <summary>Reads a unigram tokenizer.json as the spm.model that it was made from; every part that changes ids is understood or refused.</summary>
internal static class UnigramJson
{
    const string Mask = "[MASK]";

    public static Tokenizer Read(JsonField root)
    {
        var (charactersMap, lowercase) = Normalizer(root["normalizer"]);
        RequireMetaspace(root["pre_tokenizer"]);
        var model = root["model"];
        if (model["byte_fallback"].Flag(fallback: false))
            throw model["byte_fallback"].Unsupported("false");

        var pieces = model["vocab"].Items().Select(Piece).ToList();
        if (pieces.Count == 0)
            throw model["vocab"].Damaged("is empty");
        int unknown = model["unk_id"].Whole(pieces.Count - 1);
        return UnigramFile.Parse(ToModel(pieces, unknown, ControlTokens(root["added_tokens"], pieces), charactersMap), root.File, lowercase);
    }

    static (string Text, float Score) Piece(JsonField entry)
    {
        JsonField[] pair = [.. entry.Items()];
        return pair is [var text, { Value.ValueKind: JsonValueKind.Number } score] && score.Value.TryGetDouble(out double value) && double.IsFinite(value)
            ? (text.Text(), (float)value)
            : throw entry.Wrong("a piece and its score");
    }

    /// <summary>Ids that no text becomes. The mask stands behind the pieces, where <see cref="UnigramFile"/> puts it too.</summary>
    static HashSet<int> ControlTokens(JsonField addedTokens, List<(string Text, float Score)> pieces)
    {
        var ids = new HashSet<int>();
        foreach (var token in addedTokens.Items())
        {
            int id = token["id"].Whole(TokenizerJson.LargestId);
            var content = token["content"].Text();
            if (id < pieces.Count ? pieces[id].Text != content : id != pieces.Count || content != Mask)
                throw token["content"].Refused($"is \"{content}\" as {id}, which is neither the piece of this id nor \"{Mask}\" behind the last");
            ids.Add(id);
        }
        return ids;
    }

    /// <summary>Lower case, the ends stripped, SentencePiece's table of characters, runs of blanks as one: what SentencePiece does by itself, but for the first.</summary>
    static (byte[] CharactersMap, bool Lowercase) Normalizer(JsonField normalizer)
    {
        var (map, lowercase) = (Array.Empty<byte>(), false);
        foreach (var step in Steps(normalizer, "normalizers"))
            switch (step["type"].Text())
            {
                case "Lowercase" when map.Length == 0: lowercase = true; break;
                case "Strip": break;
                case "Precompiled" when map.Length == 0: map = Base64(step["precompiled_charsmap"]); break;
                case "Replace" when step["pattern"]["Regex"] is { IsNull: false } pattern && pattern.Text() == " {2,}" && step["content"].Text() == " ": break;
                default: throw step.Refused("is none of the steps that SentencePiece's unigram tokenizers have");
            }
        return (map, lowercase);
    }

    static byte[] Base64(JsonField field)
    {
        var text = field.Text();
        var bytes = new byte[text.Length / 4 * 3 + 3];
        return Convert.TryFromBase64String(text, bytes, out int count) ? bytes[..count] : throw field.Damaged("is no base64");
    }

    static void RequireMetaspace(JsonField preTokenizer)
    {
        if (Steps(preTokenizer, "pretokenizers").ToList() is not [var step] || step["type"].Text() != "Metaspace"
            || step["replacement"].Text() != $"{ByteFallbackBpe.Blank}"
            || (step["prepend_scheme"] is { IsNull: false } scheme ? scheme.Text() != "always" : !step["add_prefix_space"].Flag()))
            throw preTokenizer.Refused("is not \"Metaspace\" with a \"▁\" in front of each text, which unigram is run with");
    }

    static IEnumerable<JsonField> Steps(JsonField part, string name) =>
        part.IsNull ? [] : part["type"].Text() == "Sequence" ? part[name].Items() : [part];

    /// <summary>The file in sentencepiece_model.proto's numbers.</summary>
    static byte[] ToModel(List<(string Text, float Score)> pieces, int unknown, HashSet<int> control, byte[] charactersMap)
    {
        return Message(model =>
        {
            foreach (var (id, (text, score)) in pieces.Index())
                Write(model, 1, Message(piece =>
                {
                    Write(piece, 1, ByteString.CopyFromUtf8(text));
                    piece.WriteTag(2, WireFormat.WireType.Fixed32);
                    piece.WriteFloat(score);
                    Write(piece, 3, id == unknown ? UnigramFile.Unknown : control.Contains(id) ? UnigramFile.Control : UnigramFile.Normal);
                }));
            Write(model, 2, Message(trainer =>
            {
                Write(trainer, 3, UnigramFile.Unigram);
                Write(trainer, 40, unknown);
                Write(trainer, 45, ByteString.CopyFromUtf8(pieces[unknown].Text));
            }));
            Write(model, 3, Message(normalizer =>
            {
                if (charactersMap.Length > 0)
                    Write(normalizer, 2, ByteString.CopyFrom(charactersMap));
                foreach (int setting in (int[])[3, 4, 5])   // add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces
                    Write(normalizer, setting, 1);
            }));
        }).ToByteArray();
    }

    static ByteString Message(Action<CodedOutputStream> write)
    {
        using var stream = new MemoryStream();
        using (var output = new CodedOutputStream(stream, leaveOpen: true))
            write(output);
        return ByteString.CopyFrom(stream.GetBuffer().AsSpan(0, (int)stream.Length));
    }

    static void Write(CodedOutputStream message, int field, ByteString value)
    {
        message.WriteTag(field, WireFormat.WireType.LengthDelimited);
        message.WriteBytes(value);
    }

    static void Write(CodedOutputStream message, int field, int value)
    {
        message.WriteTag(field, WireFormat.WireType.Varint);
        message.WriteInt32(value);
    }
}
