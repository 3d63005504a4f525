using MedVlm.Graphs;
using MedVlm.Models;
using static MedVlm.Graphs.Attention;

namespace MedVlm.Evaluation.BertScore.Encoders;

/// <summary>config.json of BERT and RoBERTa. A key without a default is required; a default is the reference's for a missing key.</summary>
internal sealed record BertConfig(
    string ModelType, int VocabSize, int HiddenSize, int NumHiddenLayers, int NumAttentionHeads, int IntermediateSize,
    int MaxPositionEmbeddings = 512, int TypeVocabSize = 2, float LayerNormEps = 1e-12f, string HiddenAct = "gelu",
    string PositionEmbeddingType = "absolute", int? PadTokenId = null, bool IsDecoder = false);

/// <summary>BERT (arXiv:1810.04805), as MiniLM, SciBERT and PubMedBERT are too, and RoBERTa (arXiv:1907.11692).</summary>
/// <remarks>Reference: transformers, models/bert and models/roberta. They differ in the tokenizer and in where positions begin.</remarks>
internal sealed class Bert : TextEncoder
{
    public const string BertType = "bert", RobertaType = "roberta";

    readonly BertConfig _config;
    readonly bool _isRoberta;

    public Bert(BertConfig config)
    {
        (_config, _isRoberta) = (config, config.ModelType == RobertaType);
        Check(config.VocabSize, config.HiddenSize, config.NumHiddenLayers, config.NumAttentionHeads, config.IntermediateSize, config.MaxPositionEmbeddings);
        Setting.Positive(config.TypeVocabSize);
        CheckActivation(config.HiddenAct, "hidden_act");
        Require(config.PositionEmbeddingType == "absolute", "position_embedding_type", config.PositionEmbeddingType);
        Require(!config.IsDecoder, "is_decoder", "true");
        if (FirstPosition < 0 || MaxTokens < 3)
            throw new CheckpointException(
                $"config.json: pad_token_id is {config.PadTokenId}, beside max_position_embeddings {config.MaxPositionEmbeddings} of RoBERTa, which "
                + "counts positions from there. The file is damaged: fetch it again.");
    }

    public override int HiddenSize => _config.HiddenSize;

    public override int Layers => _config.NumHiddenLayers;

    public override int MaxTokens => _config.MaxPositionEmbeddings - FirstPosition;

    public override bool PrefixBlank => _isRoberta;

    /// <summary>RoBERTa's table still has fairseq's rows for padding: the first position is behind the padding token's id.</summary>
    public override int FirstPosition => _isRoberta ? (_config.PadTokenId ?? 1) + 1 : 0;

    public override string TokenEmbedding(Weights w) => Embeddings(w)["word_embeddings"].OnHost(_config.VocabSize, _config.HiddenSize);

    public override string PositionEmbedding(Weights w) => Embeddings(w)["position_embeddings"].OnHost(_config.MaxPositionEmbeddings, _config.HiddenSize);

    public override Tensor Hidden(Tensor embeddings, RelativeDistances? distances, Weights w, int layer)
    {
        var x = Normalised(embeddings, Embeddings(w), _config.TypeVocabSize, _config.LayerNormEps);
        for (int i = 0; i < layer; i++)
            x = Layer(x, Root(w, _config.ModelType)[$"encoder.layer.{i}"]);
        return x;
    }

    Tensor Layer(Tensor x, Weights w)
    {
        var attn = w["attention.self"];
        var q = x.Linear(attn["query"], _config.HiddenSize, bias: true);
        var k = x.Linear(attn["key"], _config.HiddenSize, bias: true);
        var v = x.Linear(attn["value"], _config.HiddenSize, bias: true);
        var attention = Bidirectional(q, k, v, _config.NumAttentionHeads);
        return AfterAttention(x, attention, w, _config.IntermediateSize, _config.HiddenAct, _config.LayerNormEps);
    }

    Weights Embeddings(Weights w) => Root(w, _config.ModelType)["embeddings"];
}
