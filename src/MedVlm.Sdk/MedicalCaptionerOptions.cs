using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Options;

namespace MedVlm;

/// <summary>Which model to load and what it may use. Configuration section "MedVlm".</summary>
public sealed class MedicalCaptionerOptions
{
    /// <summary>Hub id in the local Hugging Face cache ("org/name", or "org/name@revision"), or a checkpoint folder. Required.</summary>
    [Required]
    public string Model { get; set; } = "";

    /// <summary>
    /// A LoRA adapter that PEFT saved for the model (adapter_config.json and adapter_model.safetensors): a folder, or a hub id in the local
    /// cache. It is merged into the weights when they are loaded; the model's files are not changed. Default: null, none.
    /// </summary>
    public string? Adapter { get; set; }

    /// <summary>
    /// Vision tower of a model whose checkpoint may be without one (LLaVA-Med: openai/clip-vit-large-patch14-336): a folder, or a hub id
    /// in the local cache. A tower given here is taken also where the checkpoint holds one. Default: null, the checkpoint's own, else the
    /// one that its config.json names. No effect on other models.
    /// </summary>
    public string? VisionTower { get; set; }

    /// <summary>
    /// Tokenizer of a model whose own folder does not hold the right one (Moondream2 of 2025-06-21, whose tokenizer is in the repository
    /// moondream/starmie-v1): a hub id in the local cache, a folder, or the tokenizer.json itself. Default: null, the repository that the
    /// model's authors name, in the local cache.
    /// </summary>
    public string? Tokenizer { get; set; }

    /// <summary>
    /// Where the model runs: "auto", "cpu", "cuda", or "cuda:1" for a certain GPU in CUDA's order. Default: "auto", the GPU with the most
    /// free memory where the application references Microsoft.ML.OnnxRuntime.Gpu and there is one, else the processor.
    /// </summary>
    [Required]
    [RegularExpression(Devices.DeviceChoice.Pattern, ErrorMessage = "Device is none of \"auto\", \"cpu\", \"cuda\", \"cuda:0\", \"cuda:1\", …")]
    public string Device { get; set; } = Devices.DeviceChoice.Auto;

    /// <summary>Number format of weights and arithmetic. Default: <see cref="Precision.Auto"/>.</summary>
    [EnumDataType(typeof(Precision))]
    public Precision Precision { get; set; }

    /// <summary>
    /// Captions that are decoded together. Each takes its own part of the KV cache; more of them give more captions per minute, and
    /// each one a little later. Default: null, as many as help and fit (<see cref="MemoryPlan"/>), on a CPU up to 4. Range: 1 to 256.
    /// </summary>
    [Range(1, 256)]
    public int? Slots { get; set; }

    /// <summary>
    /// Memory of the device that weights, KV cache and workspace may take together, in MiB. Default: null, what is free but for a reserve
    /// (<see cref="MemoryPlan"/>), into which a limit that is higher reaches. Range: 64 to 1048576; what is beyond the free memory counts as all of it.
    /// </summary>
    [Range(64, 1_048_576)]
    public int? MaxDeviceMemoryMiB { get; set; }

    /// <summary>
    /// Main memory for what the vision tower made of images seen lately, in MiB: the same image, with another prompt or again, then costs no
    /// second run of it. SmolVLM-500M takes 0.2 to 4 MiB for an image, other models 6 to 11, BLIP 42. Default: 64. Range: 0, no image is kept,
    /// to 65536.
    /// </summary>
    [Range(0, 65_536)]
    public int VisionCacheMiB { get; set; } = 64;

    /// <summary>Threads of a matrix product. Default: null, one for each physical core (on Linux, that the process may use). Range: 1 to 1024.</summary>
    [Range(1, 1024)]
    public int? Threads { get; set; }

    /// <summary>What captions are like whose request does not say. Default: see <see cref="CaptionOptions"/>.</summary>
    [Required, ValidateObjectMembers]
    public CaptionOptions DefaultCaption { get; set; } = new();

    /// <summary>Limits for images, which are untrusted input. Default: see <see cref="ImageLimits"/>.</summary>
    [Required, ValidateObjectMembers]
    public ImageLimits ImageLimits { get; set; } = new();

    /// <summary>
    /// Whether a host loads the model when it starts, and fails to start if it cannot, or at the first caption. Without effect on
    /// <see cref="MedicalCaptioner.LoadAsync(MedicalCaptionerOptions, Microsoft.Extensions.Logging.ILoggerFactory, CancellationToken)"/>.
    /// Default: false, at the first caption.
    /// </summary>
    public bool LoadAtStartup { get; set; }
}
