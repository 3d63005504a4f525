using MedVlm.Graphs;
using MedVlm.Models;

namespace MedVlm.Evaluation.BertScore.Encoders;

/// <summary>A family of BERT-like text encoders: what its config.json means, and its graph.</summary>
/// <remarks>Letters of the shapes: B texts, T tokens, D hidden size, H heads, d head size, S relative distances.</remarks>
internal abstract class TextEncoder
{
    /// <summary>D.</summary>
    public abstract int HiddenSize { get; }

    /// <summary>Layers that the checkpoint has.</summary>
    public abstract int Layers { get; }

    /// <summary>Tokens that a text may have, where the tokenizer sets no lower limit.</summary>
    public abstract int MaxTokens { get; }

    /// <summary>Whether the tokenizer is given a blank in front of each text, as the reference does for RoBERTa.</summary>
    public virtual bool PrefixBlank => false;

    /// <summary>Path of the token embedding: the host reads its rows.</summary>
    public abstract string TokenEmbedding(Weights w);

    /// <summary>Path of the learned positions that are added to it; null where there are none.</summary>
    public abstract string? PositionEmbedding(Weights w);

    /// <summary>Row of the first token's position.</summary>
    public virtual int FirstPosition => 0;

    /// <summary>Width of the two embeddings.</summary>
    public virtual int EmbeddingSize => HiddenSize;

    /// <summary>The row in the table of relative embeddings for tokens i and j of a run, by <c>i - j</c> and the run's length; null where the family has none.</summary>
    public virtual Func<int, int, int>? RelativeRow => null;

    /// <summary>Embeddings [B, T, E], all tokens of one length, to the hidden states after <paramref name="layer"/> layers [B, T, D].</summary>
    /// <param name="embeddings">Tokens and positions, added.</param>
    /// <param name="distances">The tokens' distances, where <see cref="RelativeRow"/> is there.</param>
    /// <param name="w">Top of the checkpoint's names.</param>
    /// <param name="layer">0 gives the normalised embeddings.</param>
    public abstract Tensor Hidden(Tensor embeddings, RelativeDistances? distances, Weights w, int layer);

    /// <summary>Embeddings, the first token type added where there are types, normalised.</summary>
    protected static Tensor Normalised(Tensor embeddings, Weights w, int tokenTypes, float epsilon)
    {
        if (tokenTypes > 0)
            embeddings += w["token_type_embeddings"].Get(embeddings.Graph, ".weight", [tokenTypes, embeddings.Width]).First();
        return embeddings.LayerNorm(w["LayerNorm"], epsilon);
    }

    /// <summary>What follows a layer's attention: <c>LayerNorm(x + dense(attention))</c>, and the same around the feed-forward network.</summary>
    protected static Tensor AfterAttention(Tensor x, Tensor attention, Weights layer, int intermediateSize, string activation, float epsilon)
    {
        x = AddAndNorm(x, attention, layer["attention.output"], epsilon);
        return AddAndNorm(x, Activate(x.Linear(layer["intermediate.dense"], intermediateSize, bias: true), activation), layer["output"], epsilon);
    }

    static Tensor AddAndNorm(Tensor x, Tensor branch, Weights w, float epsilon) =>
        (x + branch.Linear(w["dense"], x.Width, bias: true)).LayerNorm(w["LayerNorm"], epsilon);

    /// <summary>An activation by transformers' name for it.</summary>
    protected static Tensor Activate(Tensor x, string activation) => activation switch
    {
        "gelu" => x.Gelu(),
        "gelu_new" or "gelu_pytorch_tanh" => x.GeluTanh(),
        _ => x.Tanh(),
    };

    /// <summary>The encoder's own names: below the family's where a head was saved with it, at the top where the encoder was saved alone.</summary>
    protected static Weights Root(Weights w, string family) => w["embeddings.word_embeddings"].Has(".weight") ? w : w[family];

    /// <summary>Checks the sizes that graphs and buffers are made from.</summary>
    protected static void Check(int vocabSize, int hiddenSize, int layers, int heads, int intermediateSize, int maxPositions)
    {
        Setting.Positive(vocabSize, "vocab_size");
        Setting.Positive(hiddenSize, "hidden_size");
        Setting.Positive(layers, "num_hidden_layers");
        Setting.Positive(heads, "num_attention_heads");
        Setting.Positive(intermediateSize, "intermediate_size");
        Setting.Positive(maxPositions, "max_position_embeddings");
        Setting.Divides(hiddenSize, heads, "hidden_size", "num_attention_heads");
    }

    /// <exception cref="UnsupportedModelException">The activation is another one.</exception>
    protected static void CheckActivation(string name, string key, bool tanh = false) =>
        Require(name is "gelu" or "gelu_new" or "gelu_pytorch_tanh" || (tanh && name == "tanh"), key, name);

    /// <exception cref="UnsupportedModelException">The setting is not one that is computed here.</exception>
    protected static void Require(bool supported, string key, string value)
    {
        if (!supported)
            throw new UnsupportedModelException(
                $"config.json: {key} is {value}, which BERTScore does not compute: its scores would differ from the reference's. "
                + "Take another encoder (docs/bertscore.md lists what runs).");
    }
}
