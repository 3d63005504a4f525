using MedVlm.Graphs;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Calibration;

/// <summary>
/// Outputs that tell what the linear layers of a graph are given: each run's largest magnitude and sum of squares of every channel, and a few rows. The
/// graph itself adds them up, so that what leaves it is a few vectors rather than all inputs.
/// </summary>
internal sealed class InputProbes : IDisposable
{
    const string Places = "probe_places";

    /// <summary>Rows that are taken from each run, or as many as it has.</summary>
    const int RowsPerRun = 8;

    readonly float[] _places = new float[RowsPerRun];
    readonly OrtValue _placesValue;
    readonly List<Probe> _probes = [];
    readonly Random _random = new(1);

    /// <summary>Adds the outputs to a graph, before its session is made.</summary>
    public InputProbes(GraphBuilder graph, IReadOnlyList<LinearGroup> groups)
    {
        var places = graph.Input(Places, ElementType.Float32, RowsPerRun);

        // The last group's first: ONNX Runtime orders nodes by a search back from those that nobody reads, and runs those first that were added last. In the
        // order of the groups it would look at their inputs when all layers have run, and keep all of them until then: gigabytes for large models. A group's
        // nodes stay together for the same reason.
        foreach (var (index, group) in groups.Index().Reverse())
            _probes.Add(new Probe(graph, places, group, $"probe.{index}"));
        _probes.Reverse();
        _placesValue = OrtValue.CreateTensorValueFromMemory(_places, [RowsPerRun]);
    }

    /// <summary>What has been seen, in the order of the groups.</summary>
    public IReadOnlyList<InputStatistics> Statistics => _probes.ConvertAll(probe => probe.Statistics);

    /// <summary>Binds the outputs for the next run, and draws the rows that it is to give.</summary>
    public void Bind(OrtIoBinding binding)
    {
        // Below 1 by more than FP32's rounding of a row's number.
        for (int i = 0; i < RowsPerRun; i++)
            _places[i] = _random.NextSingle() * 0.9999f;
        binding.BindInput(Places, _placesValue);
        foreach (var probe in _probes)
            probe.Bind(binding);
    }

    /// <summary>Takes in what a run has given.</summary>
    /// <param name="choosing">Whether its rows are among those that the choice is made by, or among those that its effect is told by.</param>
    public void Take(bool choosing)
    {
        foreach (var probe in _probes)
            probe.Take(choosing);
    }

    public void Dispose()
    {
        _placesValue.Dispose();
        foreach (var probe in _probes)
            probe.Dispose();
    }

    /// <summary>The outputs for one value.</summary>
    sealed class Probe : IDisposable
    {
        readonly string _name;
        readonly float[] _squares, _largest, _rows;
        readonly long[] _count = new long[1];
        readonly (string Suffix, OrtValue Value)[] _values;

        public Probe(GraphBuilder graph, Tensor places, LinearGroup group, string name)
        {
            int width = group.Width;
            (_name, Statistics, _squares, _largest, _rows) = (name, new InputStatistics(width), new float[width], new float[width], new float[RowsPerRun * width]);

            var x = new Tensor(graph, group.Input, width).Reshape(-1, width);                                  // [N, width]
            var count = graph.Node("Shape", [x], 1, [("start", 0), ("end", 1)]);
            var rows = graph.Node("Cast", [places * graph.Node("Cast", [count], 1, [("to", (int)ElementType.Float32)])], 0, [("to", (int)ElementType.Int64)]);
            graph.Output($"{name}/count", count, ElementType.Int64, 1);
            graph.Output($"{name}/squares", Reduce("ReduceSumSquare"), ElementType.Float32, width);
            graph.Output($"{name}/largest", graph.Node("Max", [Reduce("ReduceMax"), graph.Node("Neg", [Reduce("ReduceMin")], width)], width), ElementType.Float32, width);
            graph.Output($"{name}/rows", x.Rows(rows), ElementType.Float32, RowsPerRun, width);

            _values =
            [
                ("count", OrtValue.CreateTensorValueFromMemory(_count, [1])), ("squares", OrtValue.CreateTensorValueFromMemory(_squares, [width])),
                ("largest", OrtValue.CreateTensorValueFromMemory(_largest, [width])), ("rows", OrtValue.CreateTensorValueFromMemory(_rows, [RowsPerRun, width])),
            ];

            Tensor Reduce(string op) => graph.Node(op, [x, graph.Constant(0)], width, [("keepdims", 0)]);
        }

        public InputStatistics Statistics { get; }

        public void Bind(OrtIoBinding binding)
        {
            foreach (var (suffix, value) in _values)
                binding.BindOutput($"{_name}/{suffix}", value);
        }

        public void Take(bool choosing) => Statistics.Add(
            _count[0], _squares, _largest, _rows[..((int)Math.Min(_count[0], RowsPerRun) * Statistics.Width)], choosing);

        public void Dispose()
        {
            foreach (var (_, value) in _values)
                value.Dispose();
        }
    }
}
