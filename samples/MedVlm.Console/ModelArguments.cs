using System.CommandLine;

namespace MedVlm.ConsoleSample;

/// <summary>The options that say which model runs and how, shared by the commands.</summary>
internal sealed class ModelArguments
{
    readonly Option<string?> _model = new("--model", "-m")
    {
        HelpName = "M", Description = "Hub id in the local Hugging Face cache (org/name[@revision]), or a checkpoint folder. Default: the embedded TinyModel.",
    };

    readonly Option<int> _slots = new("--slots") { HelpName = "N", Description = "Captions that are decoded together. Default: as many as help and fit." };

    readonly Option<int> _threads = new("--threads") { HelpName = "N", Description = "Threads of a matrix product. Default: one for each physical core." };

    readonly Option<Precision> _precision = new("--precision") { HelpName = "P", Description = "Auto, Fp32 (CPU), Fp16 (GPU), Int8 or Int4. Default: Auto." };

    readonly Option<string?> _device = new("--device") { HelpName = "D", Description = "auto, cpu, cuda, or cuda:1 for a certain GPU. Default: auto." };

    public void AddTo(Command command)
    {
        command.Add(_model);
        command.Add(_slots);
        command.Add(_threads);
        command.Add(_precision);
        command.Add(_device);
    }

    /// <summary>The model that the user names; null for the default.</summary>
    public string? Model(ParseResult parsed) => parsed.GetValue(_model);

    /// <summary>Options of a captioner.</summary>
    public MedicalCaptionerOptions Read(ParseResult parsed)
    {
        var options = new MedicalCaptionerOptions { Threads = parsed.GetNumber(_threads), Precision = parsed.GetValue(_precision) }.UseTinyModel();
        options.Model = Model(parsed) ?? options.Model;
        options.Slots = parsed.GetNumber(_slots) ?? options.Slots;
        options.Device = parsed.GetValue(_device) ?? options.Device;
        return options;
    }
}

/// <summary>Numbers that need not be given.</summary>
internal static class OptionalNumbers
{
    /// <summary>The number, or null. (An Option of a nullable type would call the type "Nullable`1" when it complains to the user.)</summary>
    public static int? GetNumber(this ParseResult parsed, Option<int> option) => parsed.GetResult(option) is null ? null : parsed.GetValue(option);
}
