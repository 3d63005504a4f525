using MedVlm.Evaluation.BertScore.Encoders;

namespace MedVlm.Evaluation.BertScore;

/// <summary>The hidden states of texts from their first use to their last: each text is encoded once, and freed when nothing needs it any more.</summary>
internal sealed class StatesInUse
{
    readonly BertScoreEncoder _encoder;
    readonly int[][] _ids;
    readonly TokenWeights _weights;
    readonly int[] _uses;
    readonly TextStates?[] _states;
    int _tokens;

    /// <param name="encoder">The encoder.</param>
    /// <param name="ids">Each text's ids.</param>
    /// <param name="weights">What each token counts.</param>
    /// <param name="uses">Each use that will be made of a text, once.</param>
    public StatesInUse(BertScoreEncoder encoder, int[][] ids, TokenWeights weights, IEnumerable<int> uses)
    {
        (_encoder, _ids, _weights) = (encoder, ids, weights);
        (_uses, _states) = (new int[ids.Length], new TextStates?[ids.Length]);
        foreach (int text in uses)
            _uses[text]++;
    }

    public TextStates this[int text] => _states[text]!;

    /// <summary>Most tokens whose states were there at once.</summary>
    public int MostTokens { get; private set; }

    /// <summary>Encodes those of the texts that are not there yet, in batches of texts of one length.</summary>
    /// <param name="texts">The texts; some may be named more than once.</param>
    /// <param name="tokensOfBatch">Tokens of a batch, if it has more than one text.</param>
    /// <param name="cancellationToken">Ends the work at the next operator.</param>
    public void Encode(IEnumerable<int> texts, int tokensOfBatch, CancellationToken cancellationToken)
    {
        foreach (var sameLength in texts.Distinct().Where(text => _states[text] is null).GroupBy(text => _ids[text].Length))
            foreach (int[] batch in sameLength.Chunk(Math.Max(1, tokensOfBatch / sameLength.Key)))
            {
                cancellationToken.ThrowIfCancellationRequested();
                EncodeBatch(batch, sameLength.Key, cancellationToken);
            }
    }

    /// <summary>Takes these uses as made.</summary>
    public void Release(IEnumerable<int> texts)
    {
        foreach (int text in texts)
            if (--_uses[text] == 0)
            {
                _states[text] = null;
                _tokens -= _ids[text].Length;
            }
    }

    void EncodeBatch(int[] batch, int length, CancellationToken cancellationToken)
    {
        _tokens += batch.Length * length;
        MostTokens = Math.Max(MostTokens, _tokens);

        // Control tokens alone: the score is 0 whatever their states are.
        if (length == EncoderTokenizer.ControlTokens)
        {
            foreach (int text in batch)
                _states[text] = new TextStates([], new float[length]);
            return;
        }

        int size = length * _encoder.HiddenSize;
        var hidden = _encoder.Encode([.. batch.Select(text => _ids[text])], cancellationToken);
        TextStates.Normalise(hidden, _encoder.HiddenSize);
        for (int i = 0; i < batch.Length; i++)
            _states[batch[i]] = new TextStates(hidden[(i * size)..((i + 1) * size)], _weights.Of(_ids[batch[i]]));
    }
}
