using Microsoft.Extensions.DependencyInjection;

namespace MedVlm;

/// <summary>
/// The embedded model: a real, tiny captioner of 7 million parameters in the SmolVLM layout, which names modality, region and some
/// findings in one sentence. It is for demonstrations and tests, not for clinical use; its model card lies beside it.
/// </summary>
public static class TinyModel
{
    const string Folder = "MedVlm.Sdk.TinyModel";

    /// <summary>Folder of the checkpoint, beside the application's own files.</summary>
    public static string Path { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, Folder);

    /// <summary>Takes the embedded model.</summary>
    /// <param name="options">The options to set.</param>
    public static MedicalCaptionerOptions UseTinyModel(this MedicalCaptionerOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Model = Path;
        return options;
    }

    /// <summary>Takes the embedded model.</summary>
    /// <param name="builder">The registration to set it for.</param>
    public static MedicalCaptionerBuilder UseTinyModel(this MedicalCaptionerBuilder builder)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.Configure(options => options.UseTinyModel());
    }
}
