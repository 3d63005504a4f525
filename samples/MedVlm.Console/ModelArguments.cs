using System.CommandLine;

namespace MedVlm.ConsoleSample;

/// <summary>The options that say which model runs and how, shared by the commands.</summary>
internal sealed class ModelArguments
{
    readonly Option<string?> _model = new("--model", "-m")
    {
        HelpName = "M", Description = "Hub id in the local Hugging Face cache (org/name[@revision]), or a checkpoint folder. Default: the embedded TinyModel.",
    };

    readonly Option<int?> _slots = new("--slots") { HelpName = "N", Description = "Captions that are decoded together. Default: 4." };

    readonly Option<int?> _threads = new("--threads") { HelpName = "N", Description = "Threads of a matrix product. Default: one for each physical core." };

    public void AddTo(Command command)
    {
        command.Add(_model);
        command.Add(_slots);
        command.Add(_threads);
    }

    /// <summary>The model that the user names; null for the default.</summary>
    public string? Model(ParseResult parsed) => parsed.GetValue(_model);

    /// <summary>Options of a captioner.</summary>
    public MedicalCaptionerOptions Read(ParseResult parsed)
    {
        var options = new MedicalCaptionerOptions { Threads = parsed.GetValue(_threads) }.UseTinyModel();
        options.Model = Model(parsed) ?? options.Model;
        options.Slots = parsed.GetValue(_slots) ?? options.Slots;
        return options;
    }
}
