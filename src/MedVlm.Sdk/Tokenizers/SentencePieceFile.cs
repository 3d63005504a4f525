using System.Text;
using System.Text.Unicode;
using Google.Protobuf;

namespace MedVlm.Tokenizers;

/// <summary>Reads SentencePiece's tokenizer.model (sentencepiece_model.proto): a BPE with byte fallback, as Mistral's and Llama's are.</summary>
/// <remarks>The file is not trusted: sizes are bounded before memory is taken, any fault is a <see cref="CheckpointException"/>.</remarks>
internal static class SentencePieceFile
{
    public const string FileName = "tokenizer.model";

    // The largest tokenizer.model that is in use has 4 MB; trained pieces have 16 characters unless someone asked for more.
    const int LargestFile = 32 << 20, LongestPiece = 256;

    const int Bpe = 2;

    enum Kind { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 }

    /// <summary>A token: SentencePiece calls it a piece. The better of two merges is the one of the higher score.</summary>
    readonly record struct Piece(string Text, float Score, Kind Kind);

    public static Tokenizer Load(string path) => Parse(TokenizerJson.ReadFile(path), Path.GetFileName(path));

    public static Tokenizer Parse(byte[] bytes, string file)
    {
        if (bytes.Length > LargestFile)
            throw Refused(file, $"{bytes.Length >> 20} MiB; at most {LargestFile >> 20} MiB are read");
        try
        {
            return Make(new Contents(bytes, file), file);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw new CheckpointException($"{file}: no SentencePiece model ({e.Message}) {Advice}", e);
        }
    }

    static Tokenizer Make(Contents contents, string file)
    {
        var (pieces, normal, all) = (contents.Pieces, new Dictionary<string, int>(), new Dictionary<string, int>());
        for (int id = 0; id < pieces.Count; id++)
        {
            if (!all.TryAdd(pieces[id].Text, id))
                throw Damaged(file, $"piece {id} is \"{pieces[id].Text}\", as piece {all[pieces[id].Text]} is");
            if (pieces[id].Kind is Kind.UserDefined or Kind.Unused)
                throw Refused(file, $"piece {id} is of type {pieces[id].Kind}");
            if (pieces[id].Kind == Kind.Normal)
                normal.Add(pieces[id].Text, id);
        }

        int[] bytes = [.. Enumerable.Range(0, 256).Select(value =>
            all.TryGetValue(ByteFallbackBpe.ByteToken(value), out int id) && pieces[id].Kind == Kind.Byte
                ? id
                : throw Refused(file, $"it has no piece for the byte {ByteFallbackBpe.ByteToken(value)}"))];

        AddedToken[] added = [.. pieces.Index().Where(piece => piece.Item.Kind is Kind.Control or Kind.Unknown).Select(piece => new AddedToken(
            piece.Index, piece.Item.Text, Special: true, Normalized: false, StripLeft: false, StripRight: false, SingleWord: false))];
        int[] start = contents.BeginOfSequence >= 0 && contents.BeginOfSequence < pieces.Count ? [contents.BeginOfSequence] : [];
        var vocabulary = new Vocabulary(all, added);
        return new Tokenizer(
            vocabulary, added, new ByteFallbackBpe(normal, bytes, Merges(pieces, normal, file)), () => new ByteFallbackDecoder(vocabulary), start);
    }

    /// <summary>
    /// SentencePiece merges any two neighbours that together are a piece, the piece of the best score first, of equal scores the leftmost:
    /// so every way to cut a piece in two pieces is a merge, of the rank of the whole.
    /// </summary>
    static BytePairMerges Merges(List<Piece> pieces, Dictionary<string, int> normal, string file)
    {
        var merges = new BytePairMerges();
        var parts = normal.GetAlternateLookup<ReadOnlySpan<char>>();
        var (rank, score) = (-1, float.NaN);
        foreach (var (text, id) in normal.OrderByDescending(piece => pieces[piece.Value].Score))
        {
            if (pieces[id].Score != score)
                (rank, score) = (rank + 1, pieces[id].Score);
            for (int cut = 0; cut < text.Length; )
            {
                int length = char.IsHighSurrogate(text[cut]) ? 2 : 1;
                if (!parts.ContainsKey(text.AsSpan(cut, length)))
                    throw Refused(file, $"piece {id} is \"{text}\", of which a character is no piece itself");
                if (cut > 0 && parts.TryGetValue(text.AsSpan(0, cut), out int left) && parts.TryGetValue(text.AsSpan(cut), out int right))
                    merges.TryAdd(left, right, id, rank);
                cut += length;
            }
        }
        return merges;
    }

    const string Advice = "The file is damaged: take it anew from the checkpoint's source.";

    static CheckpointException Damaged(string file, string fault) => new($"{file}: {fault}. {Advice}");

    static CheckpointException Refused(string file, string fault) => new($"{file}: {fault}. This library cannot run this tokenizer.");

    /// <summary>What the file holds, as far as it bears on ids and text. Numbers are those of sentencepiece_model.proto.</summary>
    sealed class Contents
    {
        readonly string _file;
        int _modelType = 1;
        bool _byteFallback, _blankAsSuffix, _dummyPrefix = true, _removeBlanks = true, _escapeBlanks = true, _rewritesCharacters;

        public Contents(byte[] bytes, string file)
        {
            _file = file;
            Read(bytes, (field, input) =>
            {
                switch (field)
                {
                    case 1: Pieces.Add(ReadPiece(input.ReadBytes())); break;
                    case 2: ReadTrainer(input.ReadBytes()); break;
                    case 3: ReadNormalizer(input.ReadBytes()); break;
                    case 5: Read(input.ReadBytes().ToByteArray(), CharacterMap); break;
                    default: return false;
                }
                return true;
            });

            RefuseUnless(Pieces.Count is > 0 and <= TokenizerJson.LargestId, $"it has {Pieces.Count} pieces");
            RefuseUnless(_modelType == Bpe, $"model_type is {_modelType}; supported is {Bpe} (BPE)");
            RefuseUnless(_byteFallback, "byte_fallback is false; supported is true");
            RefuseUnless(!_blankAsSuffix, "treat_whitespace_as_suffix is true; supported is false");
            RefuseUnless(_dummyPrefix, "add_dummy_prefix is false; supported is true");
            RefuseUnless(!_removeBlanks, "remove_extra_whitespaces is true; supported is false");
            RefuseUnless(_escapeBlanks, "escape_whitespaces is false; supported is true");
            RefuseUnless(!_rewritesCharacters, "it normalizes text; supported is the normalization \"identity\"");
        }

        public List<Piece> Pieces { get; } = [];

        public int BeginOfSequence { get; private set; } = 1;

        Piece ReadPiece(ByteString message)
        {
            var (text, score, kind) = (ByteString.Empty, 0f, Kind.Normal);
            Read(message.ToByteArray(), (field, input) =>
            {
                switch (field)
                {
                    case 1: text = input.ReadBytes(); break;
                    case 2: score = input.ReadFloat(); break;
                    case 3: kind = (Kind)input.ReadEnum(); break;
                    default: return false;
                }
                return true;
            });

            int id = Pieces.Count;
            if (text.IsEmpty || text.Length > LongestPiece || !Utf8.IsValid(text.Span))
                throw Damaged(_file, $"piece {id} has {text.Length} bytes; expected are 1 to {LongestPiece} of UTF-8");
            if (float.IsNaN(score) || !Enum.IsDefined(kind))
                throw Damaged(_file, $"piece {id} has score {score} and type {(int)kind}");
            if (id == TokenizerJson.LargestId)
                throw Refused(_file, "it has more pieces than any model");
            return new Piece(Encoding.UTF8.GetString(text.Span), score, kind);
        }

        void ReadTrainer(ByteString message) => Read(message.ToByteArray(), (field, input) =>
        {
            switch (field)
            {
                case 3: _modelType = input.ReadEnum(); break;
                case 24: _blankAsSuffix = input.ReadBool(); break;
                case 35: _byteFallback = input.ReadBool(); break;
                case 41: BeginOfSequence = input.ReadInt32(); break;
                default: return false;
            }
            return true;
        });

        void ReadNormalizer(ByteString message) => Read(message.ToByteArray(), (field, input) =>
        {
            switch (field)
            {
                case 3: _dummyPrefix = input.ReadBool(); break;
                case 4: _removeBlanks = input.ReadBool(); break;
                case 5: _escapeBlanks = input.ReadBool(); break;
                default: return CharacterMap(field, input);
            }
            return true;
        });

        bool CharacterMap(int field, CodedInputStream input)
        {
            if (field != 2)
                return false;
            _rewritesCharacters |= !input.ReadBytes().IsEmpty;
            return true;
        }

        /// <summary>Hands out each field; one that <paramref name="take"/> does not take is skipped.</summary>
        static void Read(byte[] message, Func<int, CodedInputStream, bool> take)
        {
            var input = new CodedInputStream(message);
            while (input.ReadTag() is not 0 and var tag)
                if (!take(WireFormat.GetTagFieldNumber(tag), input))
                    input.SkipLastField();
        }

        void RefuseUnless(bool supported, string fault)
        {
            if (!supported)
                throw Refused(_file, fault);
        }
    }
}
