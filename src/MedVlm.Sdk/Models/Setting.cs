using System.Runtime.CompilerServices;
using System.Text.Json;

namespace MedVlm.Models;

/// <summary>Guards for sizes in config.json, before memory or graphs are made from them.</summary>
internal static class Setting
{
    /// <summary>More than any model has of anything; a larger number is a damaged file.</summary>
    const int Largest = 1 << 20;

    /// <exception cref="CheckpointException">The number is not between 1 and 2^20.</exception>
    public static void Positive(int value, [CallerArgumentExpression(nameof(value))] string path = "")
    {
        if (value is < 1 or > Largest)
            throw new CheckpointException(
                $"config.json: {Key(path)} is {value}, but it must lie between 1 and {Largest}. The file is damaged: fetch it again.");
    }

    /// <exception cref="CheckpointException">The first number is not a multiple of the second.</exception>
    public static void Divides(
        int whole, int part, [CallerArgumentExpression(nameof(whole))] string wholePath = "", [CallerArgumentExpression(nameof(part))] string partPath = "")
    {
        if (whole % part != 0)
            throw new CheckpointException(
                $"config.json: {Key(wholePath)} is {whole}, which is no multiple of {KeyAndValue(partPath, part)}. The file is damaged: fetch it again.");
    }

    /// <exception cref="CheckpointException">Two files disagree.</exception>
    public static void Same(
        int processor, int model, [CallerArgumentExpression(nameof(processor))] string processorPath = "",
        [CallerArgumentExpression(nameof(model))] string modelPath = "")
    {
        if (processor != model)
            throw new CheckpointException(
                $"preprocessor_config.json: {Key(processorPath)} is {processor}, but config.json has {Key(modelPath)} {model}. "
                + "The files are of different models: take both from one revision.");
    }

    /// <exception cref="CheckpointException">The id is none of the vocabulary's.</exception>
    public static void TokenId(int id, int vocabSize, [CallerArgumentExpression(nameof(id))] string path = "")
    {
        if (id < 0 || id >= vocabSize)
            throw new CheckpointException(
                $"config.json: {Key(path)} is {id}, but the vocabulary has {vocabSize} tokens (vocab_size). The file is damaged: fetch it again.");
    }

    static string KeyAndValue(string path, int value) => int.TryParse(path, out _) ? $"{value}" : $"{Key(path)} {value}";

    static string Key(string path) => JsonNamingPolicy.SnakeCaseLower.ConvertName(path.Split('.')[^1]);
}
