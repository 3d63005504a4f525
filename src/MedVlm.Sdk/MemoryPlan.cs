using System.Globalization;
using System.Text;
using MedVlm.Checkpoints;
using MedVlm.Devices;

namespace MedVlm;

/// <summary>
/// What a model takes on a device, added up before any weight is read: every candidate, whether it fits, and which one is taken, the
/// best precision that fits, with as many captions decoded together as help.
/// </summary>
/// <remarks>
/// Made by <see cref="MedicalCaptioner.PlanAsync(MedicalCaptionerOptions, ComputeDevice?, CancellationToken)"/>; a loaded captioner hands
/// out its own as a service: <c>captioner.GetService&lt;MemoryPlan&gt;()</c>. The plan is for a square image of 1024 pixels at the
/// options' image detail; where tokens grow with the image (Qwen2-VL, Qwen2.5-VL), larger images take more.
/// </remarks>
public sealed class MemoryPlan
{
    const long MiB = 1L << 20;

    readonly PlanRequest _request;
    readonly long _reserve, _budget;

    internal MemoryPlan(
        string model, bool isLocal, ComputeDevice device, ModelFootprint footprint, PlanRequest request, long reserve, long budget,
        IReadOnlyList<MemoryPlanCandidate> candidates)
    {
        (Model, IsLocal, Device, Footprint, Candidates) = (model, isLocal, device, footprint, candidates);
        (_request, _reserve, _budget) = (request, reserve, budget);
    }

    /// <summary>The model, as the options name it.</summary>
    public string Model { get; }

    /// <summary>
    /// Whether the checkpoint's own files were read. If not, the model is not on this machine, and the plan rests on the sizes of the
    /// published checkpoint's default revision, whichever the options name.
    /// </summary>
    public bool IsLocal { get; }

    /// <summary>The device that the plan is for.</summary>
    public ComputeDevice Device { get; }

    /// <summary>Precisions from the best down, each with numbers of slots from the lowest up.</summary>
    public IReadOnlyList<MemoryPlanCandidate> Candidates { get; }

    /// <summary>The candidate that is taken; null where none fits.</summary>
    public MemoryPlanCandidate? Chosen { get; internal init; }

    /// <summary>Tokens of a slot of the KV cache: prompt with image features, and new tokens, rounded up.</summary>
    public int SlotLength => Footprint.Caption.SlotLength;

    internal ModelFootprint Footprint { get; }

    /// <summary>The plan as a table for people, in plain text of several lines. Its form may change.</summary>
    public string Explain()
    {
        var caption = Footprint.Caption;
        var text = new StringBuilder();
        text.Append(Invariant($"{Model} on {Device.Name}: {Amount(Device.TotalMemoryBytes)}, {Amount(Device.FreeMemoryBytes)} of it free.\n"));
        if (!IsLocal)
            text.Append(HubId.TryParse(Model) is { IsDefaultRevision: false } other
                ? $"The model is not on this machine: the sizes are those of the published checkpoint, whether or not the hub has a revision \"{other.Revision}\" of it.\n"
                : "The model is not on this machine: the sizes are those of the published checkpoint.\n");
        text.Append(Invariant(
            $"A caption of a 1024 x 1024 image: {caption.PromptTokens} prompt tokens and up to {caption.NewTokens} new ones, a slot of {SlotLength}.\n"));
        text.Append(_request.MaxDeviceMemoryMiB is { } limit
            ? Invariant($"To be used: {Amount(_budget)}{(IsLimited ? "" : ", all that is free")} (MaxDeviceMemoryMiB is {limit}).\n")
            : Invariant($"To be used: {Amount(_budget)}, what is free less {Amount(_reserve)} left to others.\n"));

        text.Append('\n').Append(Line("", "slots", "weights", "KV cache", "workspace", "runtime", "total", "left", "MiB"));
        foreach (var candidate in Candidates)
            text.Append(Line(
                Name(candidate.Precision), Invariant($"{candidate.Slots}"), Number(candidate.WeightBytes), Number(candidate.KvCacheBytes),
                Number(candidate.WorkspaceBytes), Number(candidate.OverheadBytes), Number(candidate.TotalBytes), Number(candidate.MarginBytes),
                ReferenceEquals(candidate, Chosen) ? "<- taken" : candidate.Fits ? "fits" : "too large"));

        text.Append('\n').Append(Conclusion());
        return text.ToString();
    }

    /// <inheritdoc cref="Explain"/>
    public override string ToString() => Explain();

    /// <exception cref="InsufficientMemoryException">No candidate fits.</exception>
    internal MemoryPlanCandidate Require() => Chosen ?? throw new InsufficientMemoryException(
        Invariant($"{Model} does not fit into the {Amount(_budget)} that may be used of {Device.Name}. {WayOut()}\n\n{Explain()}"), this);

    string Conclusion()
    {
        if (Chosen is not { } chosen)
            return $"Nothing fits. {WayOut()}";

        var better = Candidates.FirstOrDefault(candidate => candidate.Precision != chosen.Precision);
        return (_request.Precision, better) switch
        {
            (Precision.Auto, { Fits: false }) when Candidates[0].Precision != chosen.Precision => Invariant(
                $"{Name(chosen.Precision)} is the best precision that fits ({Name(Candidates[0].Precision)} lacks {Amount(-Candidates[0].MarginBytes)}), with {Slots(chosen)}."),
            (Precision.Auto, _) => Invariant($"{Name(chosen.Precision)} is the best precision that fits, with {Slots(chosen)}."),
            _ => Invariant($"{Name(chosen.Precision)} was asked for, and fits with {Slots(chosen)}."),
        };
    }

    string Slots(MemoryPlanCandidate chosen) => _request.Slots is not null ? $"the {chosen.Slots} slots that were asked for"
        : chosen.Slots == Candidates.Where(candidate => candidate.Precision == chosen.Precision).Max(candidate => candidate.Slots)
            ? $"{chosen.Slots} slots: more would not help" : $"{chosen.Slots} slots: more would not fit";

    /// <summary>Whether the application's limit is what bounds the plan, and not what is free.</summary>
    bool IsLimited => _request.MaxDeviceMemoryMiB * MiB == _budget;

    /// <summary>What the application can do, from the overrides it has set.</summary>
    string WayOut()
    {
        var ways = new List<string>();
        if (IsLimited)
            ways.Add("raise MaxDeviceMemoryMiB");
        if (_request.Slots > 1)
            ways.Add("ask for fewer slots");
        if (_request.Precision is not (Precision.Auto or Precision.Int4))
            ways.Add("leave Precision on Auto");
        if (Footprint.Caption.SlotLength > 512)
            ways.Add("look at images less finely (ImageDetail)");
        ways.Add("free memory of the device");
        ways.Add("take a smaller model");
        return $"What can be done: {string.Join(", ", ways.SkipLast(1))}, or {ways[^1]}.";
    }

    static string Line(string precision, string slots, string weights, string cache, string workspace, string runtime, string total, string left, string verdict) =>
        $"{precision,-5}{slots,6}{weights,9}{cache,10}{workspace,11}{runtime,9}{total,9}{left,9}  {verdict}\n";

    static string Name(Precision precision) => precision.ToString().ToUpperInvariant();

    static string Number(long bytes) => Invariant($"{bytes / MiB:N0}");

    static string Amount(long bytes) => bytes < 1024 * MiB ? Invariant($"{bytes / MiB} MiB") : Invariant($"{bytes / (1024.0 * MiB):F1} GiB");

    static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

/// <summary>One way to run a model on a device, and what it takes.</summary>
public sealed class MemoryPlanCandidate
{
    internal MemoryPlanCandidate(Precision precision, int slots) => (Precision, Slots) = (precision, slots);

    /// <summary>Number format of the weights.</summary>
    public Precision Precision { get; }

    /// <summary>Captions that are decoded together.</summary>
    public int Slots { get; }

    /// <summary>Weights in this precision, with scales and zero points; on a CPU with the token embedding, which is on no GPU.</summary>
    public long WeightBytes { get; internal init; }

    /// <summary>Keys and values of all slots.</summary>
    public long KvCacheBytes { get; internal init; }

    /// <summary>What the vision tower and the prefill of a prompt take while they run; on a CPU with images that wait.</summary>
    public long WorkspaceBytes { get; internal init; }

    /// <summary>The runtime itself: on a GPU the CUDA context and its libraries.</summary>
    public long OverheadBytes { get; internal init; }

    /// <summary>All of it.</summary>
    public long TotalBytes => WeightBytes + KvCacheBytes + WorkspaceBytes + OverheadBytes;

    /// <summary>What may be used and is left; negative where that much is lacking.</summary>
    public long MarginBytes => BudgetBytes - TotalBytes;

    /// <summary>Whether the device has room for it.</summary>
    public bool Fits => MarginBytes >= 0;

    internal long BudgetBytes { get; init; }
}
