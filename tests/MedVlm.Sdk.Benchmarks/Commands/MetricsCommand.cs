using MedVlm.Benchmarks.Synthetic;
using MedVlm.Evaluation;

namespace MedVlm.Benchmarks.Commands;

/// <summary>The caption metrics over as many pairs as ROCOv2 has images, of made-up text.</summary>
internal static class MetricsCommand
{
    const int RocoImages = 79_789;

    public static void Run(Arguments arguments)
    {
        int count = arguments.Number("pairs") ?? RocoImages, runs = arguments.Number("runs") ?? 3;
        var pairs = SyntheticCaptions.Pairs(count, seed: 1);
        var wordNet = WordNet.FindFolder();

        Print("CIDEr", () => new Cider());
        Print("BLEU-1 to 4 (COCO)", () => new CocoBleu());
        Print("sacreBLEU", () => new SacreBleu());
        Print("ROUGE-1, 2 and L", () => new Rouge());
        Print("ROUGE-1, 2 and L with stems", () => new Rouge(stemmer: true));
        Print("ROUGE-L (COCO)", () => new CocoRougeL());
        Print("METEOR", () => new Meteor());
        if (wordNet is not null)
            Print("METEOR with WordNet", () => new Meteor(WordNet.Open(wordNet)));
        Print("ROUGE-1 (ImageCLEF)", () => new ClefRouge1());
        All();
        Bootstrap();

        // Each run scores a list of its own, since metrics share the tokens of a list.
        void Print(string what, Func<ICaptionMetric> metric)
        {
            double corpus = 0;
            Measurement.Time(what, "s", () => corpus = Score(metric(), [.. pairs])[^1].Corpus, seconds => seconds, runs).With(count, corpus).Print();
        }

        void All()
        {
            ICaptionMetric[] metrics = [new CocoBleu(), new SacreBleu(), new Rouge(), new Rouge(stemmer: true), new CocoRougeL(), new Meteor(), new Cider()];
            Measurement.Time("all of BLEU, sacreBLEU, ROUGE with and without stems, COCO ROUGE-L, METEOR and CIDEr on one list", "s", () =>
            {
                CaptionPair[] list = [.. pairs];
                foreach (var metric in metrics)
                    Score(metric, list);
            }, seconds => seconds, runs).With(count, null).Print();
        }

        void Bootstrap()
        {
            var scores = Score(new CocoBleu(), pairs)[3];
            var random = new Random(1);
            var sample = new int[count];
            Measurement.Time("one bootstrap sample of BLEU-4", "ms", () =>
            {
                for (int i = 0; i < sample.Length; i++)
                    sample[i] = random.Next(count);
                scores.CorpusOf(sample);
            }, seconds => 1000 * seconds, runs: 20).With(count, null).Print();
        }
    }

    static IReadOnlyList<MetricScores> Score(ICaptionMetric metric, IReadOnlyList<CaptionPair> pairs) =>
        metric.ScoreAsync(pairs).AsTask().GetAwaiter().GetResult();

    static Measurement With(this Measurement measurement, int pairs, double? corpus) => measurement with { Batch = pairs, Notes = corpus is null ? null : new { corpus } };
}
