using System.Text;
using System.Text.Unicode;
using Google.Protobuf;
using Microsoft.ML.Tokenizers;

namespace MedVlm.Tokenizers;

/// <summary>Reads SentencePiece's spm.model (sentencepiece_model.proto) where it is a unigram language model, as DeBERTa-v2's and v3's are.</summary>
/// <remarks>The file is not trusted: sizes are bounded before memory is taken, any fault is a <see cref="CheckpointException"/>.</remarks>
internal static class UnigramFile
{
    public const string FileName = "spm.model";

    // The largest that is in use (mDeBERTa's, 250,000 pieces) has 4 MB.
    const int LargestFile = 32 << 20, LargestPiece = 256;

    /// <summary>model_type in sentencepiece_model.proto.</summary>
    public const int Unigram = 1;

    /// <summary>Types of pieces in sentencepiece_model.proto.</summary>
    public const int Normal = 1, Unknown = 2, Control = 3;

    /// <summary>What the reference adds behind the file's pieces.</summary>
    const string Mask = "[MASK]";

    /// <param name="path">The file.</param>
    /// <param name="lowercase">do_lower_case: whether the text is lower-cased first.</param>
    public static Tokenizer Load(string path, bool lowercase) => Parse(TokenizerJson.ReadFile(path), Path.GetFileName(path), lowercase);

    /// <param name="bytes">The file's bytes.</param>
    /// <param name="file">Its name.</param>
    /// <param name="lowercase">do_lower_case.</param>
    public static Tokenizer Parse(byte[] bytes, string file, bool lowercase)
    {
        if (bytes.Length > LargestFile)
            throw Refused(file, $"{bytes.Length >> 20} MiB; at most {LargestFile >> 20} MiB are read");

        var (pieces, added) = ReadPieces(bytes, file);
        int unknown = added.FindIndex(token => token.Unknown) is >= 0 and var index
            ? added[index].Token.Id
            : throw Damaged(file, "it has no piece of the type unknown");
        if (pieces.TryAdd(Mask, pieces.Count))
            added.Add((new AddedToken(pieces[Mask], Mask, Special: true, Normalized: false, StripLeft: false, StripRight: false, SingleWord: false), false));

        AddedToken[] tokens = [.. added.Select(token => token.Token)];
        var vocabulary = new Vocabulary(pieces, tokens);
        return new Tokenizer(vocabulary, tokens, new UnigramModel(Create(bytes, file), unknown, lowercase, file), () => new ByteFallbackDecoder(vocabulary));
    }

    static SentencePieceTokenizer Create(byte[] bytes, string file)
    {
        try
        {
            return SentencePieceTokenizer.Create(new MemoryStream(bytes), addBeginningOfSentence: false, addEndOfSentence: false);
        }
        catch (Exception e) when (e is not OutOfMemoryException)   // the package promises no type for a damaged file
        {
            throw new CheckpointException($"{file}: no SentencePiece model ({e.Message}). {Advice}", e);
        }
    }

    /// <summary>All pieces with their ids, and those that are no text.</summary>
    static (Dictionary<string, int> Pieces, List<(AddedToken Token, bool Unknown)> Added) ReadPieces(byte[] bytes, string file)
    {
        var pieces = new Dictionary<string, int>();
        var added = new List<(AddedToken, bool)>();
        int modelType = Unigram;
        try
        {
            Read(bytes, (field, input) =>
            {
                switch (field)
                {
                    case 1: AddPiece(input.ReadBytes().ToByteArray()); return true;
                    case 2: modelType = ReadModelType(input.ReadBytes().ToByteArray(), modelType); return true;
                    default: return false;
                }
            });
        }
        catch (InvalidProtocolBufferException e)
        {
            throw new CheckpointException($"{file}: no SentencePiece model ({e.Message}) {Advice}", e);
        }
        return modelType != Unigram ? throw Refused(file, $"model_type is {modelType}; supported is {Unigram} (unigram)")
            : pieces.Count == 0 ? throw Damaged(file, "it has no pieces")
            : (pieces, added);

        void AddPiece(byte[] message)
        {
            var (text, kind) = (ByteString.Empty, Normal);
            Read(message, (field, input) =>
            {
                switch (field)
                {
                    case 1: text = input.ReadBytes(); return true;
                    case 3: kind = input.ReadEnum(); return true;
                    default: return false;
                }
            });
            int id = pieces.Count;
            if (text.IsEmpty || text.Length > LargestPiece || !Utf8.IsValid(text.Span))
                throw Damaged(file, $"piece {id} has {text.Length} bytes; expected are 1 to {LargestPiece} of UTF-8");
            var piece = Encoding.UTF8.GetString(text.Span);
            if (!pieces.TryAdd(piece, id))
                throw Damaged(file, $"piece {id} is \"{piece}\", as piece {pieces[piece]} is");
            if (kind is Control or Unknown)
                added.Add((new AddedToken(id, piece, Special: true, Normalized: false, StripLeft: false, StripRight: false, SingleWord: false), kind == Unknown));
        }
    }

    static int ReadModelType(byte[] trainer, int modelType)
    {
        Read(trainer, (field, input) =>
        {
            if (field != 3)
                return false;
            modelType = input.ReadEnum();
            return true;
        });
        return modelType;
    }

    /// <summary>Hands out each field; one that <paramref name="take"/> does not take is skipped.</summary>
    static void Read(byte[] message, Func<int, CodedInputStream, bool> take)
    {
        var input = new CodedInputStream(message);
        while (input.ReadTag() is not 0 and var tag)
            if (!take(WireFormat.GetTagFieldNumber(tag), input))
                input.SkipLastField();
    }

    const string Advice = "The file is damaged: take it anew from the checkpoint's source.";

    static CheckpointException Damaged(string file, string fault) => new($"{file}: {fault}. {Advice}");

    static CheckpointException Refused(string file, string fault) => new($"{file}: {fault}. This library cannot run this tokenizer.");
}
