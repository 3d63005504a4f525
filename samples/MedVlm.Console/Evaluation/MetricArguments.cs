using System.CommandLine;
using MedVlm.Evaluation;

namespace MedVlm.ConsoleSample.Evaluation;

/// <summary>The options that say what is measured.</summary>
internal sealed class MetricArguments
{
    static readonly Dictionary<string, Func<WordNet?, ICaptionMetric>> s_metrics = new(StringComparer.OrdinalIgnoreCase)
    {
        ["bleu"] = _ => new CocoBleu(),
        ["sacrebleu"] = _ => new SacreBleu(),
        ["rouge"] = _ => new Rouge(),
        ["rouge-stem"] = _ => new Rouge(stemmer: true),
        ["rouge-coco"] = _ => new CocoRougeL(),
        ["meteor"] = wordNet => new Meteor(wordNet),
        ["cider"] = _ => new Cider(),
    };

    static readonly string[] s_default = ["bleu", "rouge", "meteor", "cider"];

    readonly Option<string[]> _metrics = new("--metrics")
    {
        HelpName = "NAMES", AllowMultipleArgumentsPerToken = true,
        Description = $"Any of {string.Join(", ", s_metrics.Keys)}, separated by commas or spaces. Default: {string.Join(",", s_default)}; with --clef ImageCLEF's own.",
    };

    readonly Option<string?> _wordNet = new("--wordnet") { HelpName = "FOLDER", Description = "Folder of WordNet's files: METEOR matches synonyms too." };

    readonly Option<bool> _clef = new("--clef")
    {
        Description = "ImageCLEF caption: check the candidates as a submission, and score ROUGE-1 and (with --bert) IDF BERTScore on texts normalised as its scorer does.",
    };

    readonly Option<string?> _bert = new("--bert")
    {
        HelpName = "M", Description = "Score BERTScore too, with this encoder: a checkpoint folder, or a hub id in the local Hugging Face cache.",
    };

    readonly Option<int> _bertLayer = new("--bert-layer") { HelpName = "N", Description = "Layer of the encoder that is compared. Default: the one bert-score takes of a model that it knows." };

    readonly Option<bool> _bertIdf = new("--bert-idf") { Description = "Let a token count by how rare it is in the references." };

    readonly Option<string?> _bertBaseline = new("--bert-baseline") { HelpName = "FILE", Description = "Rescale by this baseline file of bert-score." };

    public bool IsClef(ParseResult parsed) => parsed.GetValue(_clef);

    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[_metrics, _wordNet, _clef, _bert, _bertLayer, _bertIdf, _bertBaseline])
            command.Add(option);
    }

    /// <summary>The metrics; the encoder of BERTScore is loaded.</summary>
    /// <exception cref="UsageException">The options do not go together.</exception>
    public async Task<MetricChoice> LoadAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var (clef, bert) = (IsClef(parsed), parsed.GetValue(_bert));
        string[] names = [.. (parsed.GetValue(_metrics) ?? []).SelectMany(names => names.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))];
        if (names.Length == 0)
            names = clef ? [] : s_default;
        if (names.FirstOrDefault(name => !s_metrics.ContainsKey(name)) is { } unknown)
            throw new UsageException($"--metrics {unknown}: there are {string.Join(", ", s_metrics.Keys)}; --bert and --clef add theirs.");
        if (bert is null && (parsed.GetNumber(_bertLayer) is not null || parsed.GetValue(_bertIdf) || parsed.GetValue(_bertBaseline) is not null))
            throw new UsageException("--bert-layer, --bert-idf and --bert-baseline go with --bert, which names the encoder.");

        bool plainBert = bert is not null && (!clef || names.Length > 0);
        if (!plainBert && (parsed.GetValue(_bertIdf) || parsed.GetValue(_bertBaseline) is not null))
            throw new UsageException(
                "--bert-idf and --bert-baseline: --clef alone scores ImageCLEF's BERTScore, which has weights by rarity and no baseline. Name --metrics too for BERTScore as you set it.");

        var wordNet = parsed.GetValue(_wordNet) is { } folder ? WordNet.Open(folder) : null;
        List<ICaptionMetric> metrics = [.. names.Distinct(StringComparer.OrdinalIgnoreCase).Select(name => s_metrics[name](wordNet))];
        if (clef)
            metrics.Add(new ClefRouge1());

        var settings = new Dictionary<string, string>();
        if (wordNet is not null && names.Contains("meteor", StringComparer.OrdinalIgnoreCase))
            settings["wordnet"] = parsed.GetValue(_wordNet)!;
        if (bert is null)
            return new MetricChoice(metrics, settings, null);

        var baseline = parsed.GetValue(_bertBaseline);
        if (baseline is not null && !File.Exists(baseline))   // before minutes go into loading an encoder
            throw new UsageException($"--bert-baseline {baseline}: there is no such file.");
        var encoder = await LoadEncoderAsync(bert, parsed.GetNumber(_bertLayer), cancellationToken);
        try
        {
            if (plainBert)
                metrics.Add(new BertScorer(encoder, new BertScorerOptions { Idf = parsed.GetValue(_bertIdf), BaselinePath = baseline }));
            if (clef)
                metrics.Add(new BertScorer(encoder, new BertScorerOptions
                {
                    Idf = true, Normalize = ClefNormalization.Normalize, BothEmpty = 1, Name = "BERTScore-IDF (ImageCLEF)",   // not rescaled, as the task has it
                }));
        }
        catch
        {
            await encoder.DisposeAsync();
            throw;
        }
        settings["bert"] = bert;
        settings["bert-layer"] = $"{encoder.Layer} of {encoder.Layers}";
        if (plainBert)
            (settings["bert-idf"], settings["bert-baseline"]) = (parsed.GetValue(_bertIdf) ? "yes" : "no", baseline ?? "none");
        if (clef)
            (settings["clef-bert-idf"], settings["clef-bert-baseline"]) = ("yes", "none");
        return new MetricChoice(metrics, settings, encoder);
    }

    static async Task<BertScoreEncoder> LoadEncoderAsync(string model, int? layer, CancellationToken cancellationToken)
    {
        try
        {
            return await BertScoreEncoder.LoadAsync(model, layer, threads: null, cancellationToken);
        }
        catch (ArgumentException e)
        {
            throw new UsageException($"--bert-layer: {e.Message}");
        }
    }
}

/// <summary>What is measured, and its settings. Dispose it after the scoring: it holds the encoder.</summary>
internal sealed record MetricChoice(IReadOnlyList<ICaptionMetric> Metrics, IReadOnlyDictionary<string, string> Settings, BertScoreEncoder? Encoder) : IAsyncDisposable
{
    public ValueTask DisposeAsync() => Encoder?.DisposeAsync() ?? default;
}
