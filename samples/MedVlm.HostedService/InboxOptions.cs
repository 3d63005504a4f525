using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Options;

namespace MedVlm.HostedServiceSample;

/// <summary>Where images come in and captions go out. Configuration section "Inbox".</summary>
internal sealed record InboxOptions
{
    /// <summary>The inbox, watched with the folders below it. Made if it is not there. Required.</summary>
    [Required]
    public string Folder { get; set; } = "";

    /// <summary>The outbox. Made if it is not there. Neither of the two may lie in the other. Required.</summary>
    [Required]
    public string Outbox { get; set; } = "";

    /// <summary>
    /// Time between two looks into the inbox. A file is taken when two looks in a row find it unchanged, so it is also how long a copy
    /// may pause. Default: 1 s. Range: 10 ms to 1 h.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "01:00:00")]
    public TimeSpan PollInterval { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>What becomes of an image whose caption is in the outbox. Default: it moves to the folder "done" of the inbox.</summary>
    [EnumDataType(typeof(WhenDone))]
    public WhenDone WhenDone { get; set; }

    /// <summary>
    /// How often an image is tried whose failure may pass, such as a file that cannot be read, or a caption that memory did not suffice for,
    /// before it moves to the folder "failed" of the inbox. An image that is damaged goes there at once. Default: 3. Range: 1 to 1000.
    /// </summary>
    [Range(1, 1000)]
    public int MaxAttempts { get; set; } = 3;

    /// <summary>
    /// The service stops after so many different images in a row that failed and were not damaged: then the model or the machine is at fault. They
    /// stay in the inbox, but for those that have had their attempts. Default: 5. Range: 1 to 1000.
    /// </summary>
    [Range(1, 1000)]
    public int MaxFailuresInARow { get; set; } = 5;
}

/// <summary>What becomes of an image that is captioned.</summary>
internal enum WhenDone
{
    /// <summary>It moves to the folder "done" of the inbox.</summary>
    Move,

    /// <summary>It is deleted.</summary>
    Delete,
}

/// <summary>Checks the attributes, and that the outbox is not read as an inbox.</summary>
[OptionsValidator]
internal sealed partial class InboxOptionsAttributes : IValidateOptions<InboxOptions>;

/// <inheritdoc cref="InboxOptionsAttributes"/>
internal sealed class InboxOptionsValidator : IValidateOptions<InboxOptions>
{
    public ValidateOptionsResult Validate(string? name, InboxOptions options) =>
        new InboxOptionsAttributes().Validate(name, options) is { Failed: true } failed ? failed
        : Holds(options.Folder, options.Outbox) || Holds(options.Outbox, options.Folder)
            ? ValidateOptionsResult.Fail("Inbox:Folder and Inbox:Outbox lie one in the other: give each a folder of its own.")
        : ValidateOptionsResult.Success;

    static bool Holds(string outer, string inner) =>
        (Path.TrimEndingDirectorySeparator(Path.GetFullPath(inner)) + Path.DirectorySeparatorChar)
        .StartsWith(
            Path.TrimEndingDirectorySeparator(Path.GetFullPath(outer)) + Path.DirectorySeparatorChar,
            OperatingSystem.IsLinux() ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase);
}
