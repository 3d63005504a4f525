using System.Globalization;

namespace MedVlm.Datasets;

/// <summary>Puts shards together, and believes nothing: provenance, shard numbers, and every id are checked.</summary>
internal static class CaptionMerge
{
    const int MostNamed = 20;

    public static async Task<CaptionJobReport> RunAsync(IReadOnlyList<string> shards, CaptionMergeOptions options, CancellationToken cancellationToken)
    {
        var start = TimeProvider.System.GetTimestamp();
        var target = new JobFiles(options.Output);
        var parts = Parts(shards, target);
        JobFiles.CheckCsv(options.Csv, parts.Select(part => part.Files).Append(target));
        var first = parts[0].Provenance;
        var index = options.Dataset is { } dataset ? await DatasetIndex.ReadAsync(dataset, DatasetShard.Whole, cancellationToken).ConfigureAwait(false) : null;
        if (index is not null && index.Identity != first.Identity.Dataset)
            throw new CaptionMergeException(
                $"The shards were made from another data set than the one given: it has {index.Identity.Items} ids, theirs {first.Identity.Dataset.Items}"
                + (index.Identity.Items == first.Identity.Dataset.Items ? ", but not the same ids or prompts." : "."));

        var locks = new List<IDisposable?>();
        try
        {
            locks.AddRange(parts.Select(part => part.Files.TakeReadLock()));
            locks.Add(target.TakeLock());
            return await Task.Run(() => Merge(parts, target, options, index, start, cancellationToken), cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            foreach (var taken in locks)
                taken?.Dispose();
        }
    }

    static CaptionJobReport Merge(
        IReadOnlyList<Part> parts, JobFiles target, CaptionMergeOptions options, DatasetIndex? index, long start, CancellationToken cancellationToken)
    {
        var ids = new Ids();
        var identity = parts[0].Provenance.Identity.Dataset;
        AtomicFile.Write(target.Output, stream =>
        {
            foreach (var part in parts)
                LineFile.ReadAll(part.Files.Output, line =>
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    if (JobLines.ReadCaption(line) is not var (id, _))
                        return false;
                    ids.Add(id, part.Shard, index);
                    stream.Write(line);
                    stream.Write("\n"u8);
                    return true;
                });
            var missing = ids.Missing(identity, index, options.Dataset, cancellationToken);
            ids.Check(identity, missing, options.AllowMissing, parts);
        });

        var (failures, failuresFile) = JobFailures.Gather(
            [.. parts.Select(part => part.Files.Failures)], target.Failures, (part, id) => ids.IsOpen(id, parts[part].Shard, index));
        var csv = ids.Count == identity.Items ? options.Csv : null;
        if (csv is not null)
            SubmissionCsv.Write(target.Output, csv);
        var provenance = parts[0].Provenance;
        (provenance with { Shard = new(0, 1), Runs = [.. parts.SelectMany(part => part.Provenance.Runs).OrderBy(run => run.Started).TakeLast(JobProvenance.MostRuns)] }).Write(target.Provenance);
        return new CaptionJobReport
        {
            Total = identity.Items,
            Captioned = ids.Count,
            CaptionedNow = 0,
            TokensNow = 0,
            Elapsed = TimeProvider.System.GetElapsedTime(start),
            Failures = failures,
            DuplicateCount = index?.DuplicateCount ?? 0,
            DuplicateIds = index?.Duplicates ?? [],
            Output = target.Output,
            FailuresFile = failuresFile,
            Csv = csv,
        };
    }

    /// <summary>The shards in order, known to be of one job and all there.</summary>
    static Part[] Parts(IReadOnlyList<string> shards, JobFiles target)
    {
        if (shards.Count == 0)
            throw new CaptionMergeException("There is no file to merge: give the captions of every shard.");
        var parts = new List<Part>();

        // "part-*.jsonl" names the shards' files of failures too.
        var captions = shards.Where(path => !JobFiles.IsFailures(path)).ToArray();
        foreach (var path in captions.Length > 0 ? captions : shards)
        {
            var files = new JobFiles(path);
            if (!File.Exists(files.Output))
                throw new CaptionMergeException($"There is no file {files.Name}.");
            if (files.Output == target.Output)
                throw new CaptionMergeException($"{files.Name} is a shard and the output: give the output another name.");
            var provenance = JobProvenance.Read(files.Provenance)
                ?? throw new CaptionMergeException($"{files.Name} has no {Path.GetFileName(files.Provenance)} beside it, which would tell what it was made with.");
            if (provenance.Shard is not { Count: >= 1, Index: >= 0 } numbers || numbers.Index >= numbers.Count || numbers.Count > 65_536)
                throw new CaptionMergeException($"{Path.GetFileName(files.Provenance)} names no shard.");
            parts.Add(new(files, provenance, new(provenance.Shard.Index, provenance.Shard.Count)));
        }

        var first = parts[0];
        foreach (var part in parts)
        {
            if (part.Provenance.Fingerprint != first.Provenance.Fingerprint
                && (part.Provenance with { Shard = first.Provenance.Shard }) is var aligned && first.Provenance.DifferencesTo(aligned) is { Count: > 0 } differences)
                throw new CaptionJobChangedException(
                    $"{first.Files.Name} and {part.Files.Name} were not made in the same way, and captions are not mixed: {string.Join("; ", differences)} there.", differences);
            if (part.Shard.Count != first.Shard.Count)
                throw new CaptionMergeException($"{first.Files.Name} is shard {first.Shard}, but {part.Files.Name} is {part.Shard}: they are parts of different divisions.");
        }

        var twice = parts.GroupBy(part => part.Shard.Index).FirstOrDefault(group => group.Count() > 1);
        if (twice is not null)
            throw new CaptionMergeException($"Shard {twice.First().Shard} is there twice: {string.Join(" and ", twice.Select(part => part.Files.Name))}.");
        var absent = Enumerable.Range(0, first.Shard.Count).Except(parts.Select(part => part.Shard.Index)).ToArray();
        if (absent.Length > 0)
            throw new CaptionMergeException(
                $"{absent.Length} of {first.Shard.Count} shards are missing: {string.Join(", ", absent.Take(MostNamed))}{(absent.Length > MostNamed ? ", …" : "")}.");
        return [.. parts.OrderBy(part => part.Shard.Index)];
    }

    sealed record Part(JobFiles Files, JobProvenance Provenance, DatasetShard Shard);

    /// <summary>The ids that were met: how many, their sum, and the first that should not be.</summary>
    sealed class Ids
    {
        readonly IdTable _seen = new();
        readonly List<string> _duplicates = [], _foreign = [];
        UInt128 _sum;
        long _duplicateCount, _foreignCount;

        public long Count => _seen.Count;

        public void Add(string id, DatasetShard shard, DatasetIndex? index)
        {
            var hash = IdHash.Of(id);
            if (!shard.Contains(hash) || index is not null && !index.IsOpen(id))
                Note(id, _foreign, ref _foreignCount);
            else if (!_seen.Add(hash.Key, 1))
                Note(id, _duplicates, ref _duplicateCount);
            else
                _sum += hash.Key;
        }

        /// <summary>Whether an id of this shard has no caption.</summary>
        public bool IsOpen(string id, DatasetShard shard, DatasetIndex? index)
        {
            var hash = IdHash.Of(id);
            return shard.Contains(hash) && (index is null || index.IsOpen(id)) && System.Runtime.CompilerServices.Unsafe.IsNullRef(ref _seen.Find(hash.Key));
        }

        /// <summary>The first ids without a caption, where the data set can tell them.</summary>
        public List<string> Missing(DatasetIdentity identity, DatasetIndex? index, CaptionDataset? dataset, CancellationToken cancellationToken)
        {
            if (index is null || dataset is null || Count == identity.Items)
                return [];
            var missing = new List<string>();
            foreach (var (id, _) in dataset.ReadKeysAsync(cancellationToken).ToBlockingEnumerable(cancellationToken))
                if (System.Runtime.CompilerServices.Unsafe.IsNullRef(ref _seen.Find(IdHash.Of(id).Key)))
                {
                    missing.Add(id);
                    if (missing.Count == MostNamed)
                        break;
                }
            return missing;
        }

        public void Check(DatasetIdentity identity, IReadOnlyList<string> missing, bool allowMissing, IReadOnlyList<Part> parts)
        {
            long missingCount = Math.Max(identity.Items - Count, 0);

            // All are there by number: then the sum shows whether they are the right ones.
            bool others = missingCount == 0 && _sum.ToString("x32", CultureInfo.InvariantCulture) != identity.Ids || Count > identity.Items;
            // Only a shard that ran to its end has tried every image: the others' missing images have not failed.
            var unfinished = missingCount > 0 && allowMissing ? parts.Where(part => !part.Provenance.RanToItsEnd).ToArray() : [];
            if (_duplicateCount == 0 && _foreignCount == 0 && !others && unfinished.Length == 0 && (missingCount == 0 || allowMissing))
                return;

            var faults = new List<string>();
            if (unfinished.Length > 0)
                faults.Add(
                    $"{missingCount} of {identity.Items} ids have no caption{Named(missing)}, which is allowed for images that have failed, but not every shard has run to its end "
                    + $"(run these on: {string.Join(", ", unfinished.Take(MostNamed).Select(part => $"{part.Files.Name}, shard {part.Shard}"))}{(unfinished.Length > MostNamed ? ", …" : "")})");
            if (missingCount > 0 && !allowMissing)
                faults.Add($"{missingCount} of {identity.Items} ids have no caption{Named(missing)}"
                    + (parts.Any(part => File.Exists(part.Files.Failures)) ? " (see the shards' .failed.jsonl; run the shards again, or allow it)" : " (run the shards to their ends)"));
            if (_duplicateCount > 0)
                faults.Add($"{_duplicateCount} lines repeat an id{Named(_duplicates)}");
            if (_foreignCount > 0)
                faults.Add($"{_foreignCount} lines have an id that is not in their shard of the data set{Named(_foreign)}");
            if (others)
                faults.Add("the ids are as many as the data set's, or more, but not the same");
            throw new CaptionMergeException($"The shards make no whole: {string.Join("; ", faults)}.")
            {
                MissingCount = allowMissing && unfinished.Length == 0 ? 0 : missingCount, MissingIds = allowMissing && unfinished.Length == 0 ? [] : missing,
                DuplicateCount = _duplicateCount, DuplicateIds = _duplicates,
                ForeignCount = _foreignCount, ForeignIds = _foreign,
            };
        }

        static string Named(IReadOnlyList<string> ids) => ids.Count == 0 ? "" : $": {string.Join(", ", ids)}{(ids.Count == MostNamed ? ", …" : "")}";

        static void Note(string id, List<string> ids, ref long count)
        {
            count++;
            if (ids.Count < MostNamed)
                ids.Add(id);
        }
    }
}
