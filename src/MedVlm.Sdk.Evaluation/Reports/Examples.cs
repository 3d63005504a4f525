namespace MedVlm.Evaluation.Reports;

/// <summary>Which pairs a report shows: by each metric the lowest and highest, and of two candidates those that changed most.</summary>
internal sealed class Examples
{
    /// <summary>Pairs of a list at most; in a small set half of them, so that no pair is among the lowest and the highest.</summary>
    const int MostInList = 6;

    Examples(IReadOnlyList<ExampleList> lists, IReadOnlyList<ExamplePlace> places)
    {
        Lists = lists;
        Pairs = [.. places.GroupBy(place => place.Pair).OrderBy(group => group.Key).Select(group => (group.Key, (IReadOnlyList<ExamplePlace>)[.. group]))];
    }

    /// <summary>The lists, each of which there is for every metric.</summary>
    public IReadOnlyList<ExampleList> Lists { get; }

    /// <summary>Every pair that is in a list, once, with its places.</summary>
    public IReadOnlyList<(int Pair, IReadOnlyList<ExamplePlace> Places)> Pairs { get; }

    public static Examples Of(EvaluationReport report)
    {
        var last = report.Candidates[^1];
        List<(ExampleList List, Func<int, int, double> Key, bool Ascending)> lists =
        [
            (new("low", $"Lowest scores of {last.Name}"), (metric, pair) => last.Metrics[metric].PerPair[pair], true),
            (new("high", $"Highest scores of {last.Name}"), (metric, pair) => last.Metrics[metric].PerPair[pair], false),
        ];
        if (report.Candidates is [var first, var second])
        {
            double Change(int metric, int pair) => second.Metrics[metric].PerPair[pair] - first.Metrics[metric].PerPair[pair];
            lists.Add((new("fell", $"Where {second.Name} falls most behind {first.Name}"), Change, true));
            lists.Add((new("rose", $"Where {second.Name} is most ahead of {first.Name}"), Change, false));
        }

        int pairs = report.Counts.Pairs, count = Math.Min(MostInList, Math.Max(pairs / 2, 1));
        var places =
            from list in lists
            from metric in Enumerable.Range(0, last.Metrics.Count)
            from place in Enumerable.Range(0, pairs)
                .Select(pair => (Pair: pair, Key: list.Key(metric, pair)))
                .Where(one => list.List.Name is "low" or "high" || (list.Ascending ? one.Key < 0 : one.Key > 0))
                .OrderBy(one => list.Ascending ? one.Key : -one.Key).ThenBy(one => list.Ascending ? one.Pair : -one.Pair).Take(count)   // ties in opposite order
                .Select((one, rank) => new ExamplePlace(one.Pair, list.List.Name, metric, rank))
            select place;
        return new Examples([.. lists.Select(list => list.List)], [.. places]);
    }
}

/// <summary>A list of examples.</summary>
internal sealed record ExampleList(string Name, string Title);

/// <summary>Where a pair stands in a list, counted from 0.</summary>
internal sealed record ExamplePlace(int Pair, string List, int Metric, int Rank);
