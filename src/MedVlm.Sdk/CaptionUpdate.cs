namespace MedVlm;

/// <summary>A piece of a caption as it is written. The texts of all updates joined are the caption's text.</summary>
public sealed record CaptionUpdate
{
    /// <summary>What has come since the last update: whole characters. May be empty in the last one.</summary>
    public required string Text { get; init; }

    /// <summary>The finished caption, in the last update only.</summary>
    public Caption? Caption { get; init; }
}
