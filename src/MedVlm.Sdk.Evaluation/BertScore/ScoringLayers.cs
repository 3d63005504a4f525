namespace MedVlm.Evaluation.BertScore;

/// <summary>The layer that bert-score takes of each published model: the one that agreed best with people on WMT16.</summary>
/// <remarks>Source: model2layers in bert_score/utils.py of Tiiiger/bert_score 0.3.13, the models of the families that run here.</remarks>
internal static class ScoringLayers
{
    static readonly Dictionary<string, int> s_layers = new(StringComparer.OrdinalIgnoreCase)
    {
        ["bert-base-uncased"] = 9,
        ["bert-large-uncased"] = 18,
        ["bert-base-cased-finetuned-mrpc"] = 9,
        ["bert-base-multilingual-cased"] = 9,
        ["bert-base-chinese"] = 8,
        ["roberta-base"] = 10,
        ["roberta-large"] = 17,
        ["roberta-large-mnli"] = 19,
        ["roberta-base-openai-detector"] = 7,
        ["roberta-large-openai-detector"] = 15,
        ["scibert_scivocab_uncased"] = 8,
        ["scibert_scivocab_cased"] = 9,
        ["scibert_basevocab_uncased"] = 9,
        ["distilroberta-base"] = 5,
        ["deberta-base"] = 9,
        ["deberta-base-mnli"] = 9,
        ["deberta-large"] = 16,
        ["deberta-large-mnli"] = 18,
        ["deberta-xlarge"] = 18,
        ["deberta-xlarge-mnli"] = 40,
        ["deberta-v2-xlarge"] = 10,
        ["deberta-v2-xlarge-mnli"] = 17,
        ["deberta-v2-xxlarge"] = 21,
        ["deberta-v2-xxlarge-mnli"] = 22,
        ["deberta-v3-xsmall"] = 10,
        ["deberta-v3-small"] = 4,
        ["deberta-v3-base"] = 9,
        ["deberta-v3-large"] = 12,
        ["mdeberta-v3-base"] = 10,
        ["finbert"] = 10,
        ["spanbert-base-cased"] = 8,
        ["spanbert-large-cased"] = 17,
        ["bert-base-turkish-cased"] = 10,
        ["unsup-simcse-bert-base-uncased"] = 10,
        ["unsup-simcse-bert-large-uncased"] = 18,
        ["unsup-simcse-roberta-base"] = 8,
        ["unsup-simcse-roberta-large"] = 13,
        ["sup-simcse-bert-base-uncased"] = 10,
        ["sup-simcse-bert-large-uncased"] = 18,
        ["sup-simcse-roberta-base"] = 10,
        ["sup-simcse-roberta-large"] = 16,
    };

    /// <summary>The layer for a hub id, or a folder of the model's name; null for a model that bert-score does not list.</summary>
    /// <remarks>The organisation is left out: the hub has renamed some since ("google-bert/bert-base-uncased"). So is a revision, "@main", also behind a folder's
    /// own name.</remarks>
    public static int? Find(string model)
    {
        // As the checkpoint is found: an existing folder wins, and the folders above it may hold an "@" of their own.
        var name = Directory.Exists(model)
            ? Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(model))).Split('@')[0]
            : model.Split('@')[0].Split('/')[^1];
        return s_layers.TryGetValue(name, out int layer) ? layer : null;
    }
}
