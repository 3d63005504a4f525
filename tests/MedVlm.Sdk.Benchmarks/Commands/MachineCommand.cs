using System.Numerics;
using System.Runtime.InteropServices;
using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Inference;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Benchmarks.Commands;

/// <summary>What the machine can do at best: the yardsticks for everything else.</summary>
internal static class MachineCommand
{
    const int Side = 2048;

    public static void Run()
    {
        ReadRate().Print();
        MatrixProduct().Print();
    }

    /// <summary>All threads add up a buffer that is far larger than the caches: a decode step reads every weight once, as this does.</summary>
    static unsafe Measurement ReadRate()
    {
        const long Bytes = 1L << 30;
        int threads = Environment.ProcessorCount;
        using var buffer = new NativeBuffer((nuint)Bytes);
        new Span<byte>(buffer.Data, (int)(Bytes - 1)).Fill(1);   // pages are real only once written
        var (data, part) = ((nint)buffer.Data, Bytes / threads);
        float sink = 0;

        var result = Measurement.Time("memory read rate", "GB/s", () => Parallel.For(0, threads, thread =>
        {
            var values = new ReadOnlySpan<float>((float*)(data + thread * part), (int)(part / sizeof(float)));
            sink += Sum(values);
        }), seconds => Bytes / seconds / 1e9, runs: 15);
        GC.KeepAlive(sink);
        return result;
    }

    static float Sum(ReadOnlySpan<float> values)
    {
        var vectors = MemoryMarshal.Cast<float, Vector<float>>(values);
        Vector<float> a = default, b = default, c = default, d = default;
        for (int i = 0; i + 3 < vectors.Length; i += 4)
        {
            a += vectors[i];
            b += vectors[i + 1];
            c += vectors[i + 2];
            d += vectors[i + 3];
        }
        return Vector.Sum(a + b + (c + d));
    }

    /// <summary>[2048, 2048] times [2048, 2048] in FP32, no weights, nothing fused.</summary>
    static Measurement MatrixProduct()
    {
        OnnxRuntimeEnvironment.Ensure();
        var graph = new GraphBuilder("product");
        var (a, b) = (graph.Input("a", ElementType.Float32, Side, Side), graph.Input("b", ElementType.Float32, Side, Side));
        graph.Output("c", graph.Node("MatMul", [a, b], Side), ElementType.Float32, Side, Side);

        using var options = new RuntimeSettings().ToSessionOptions(graph.Name);
        using var session = new InferenceSession(graph.ToBytes(_ => default), options);
        var random = new Random(1);
        float[] Values() => [.. Enumerable.Range(0, Side * Side).Select(_ => random.NextSingle() - 0.5f)];
        using var left = OrtValue.CreateTensorValueFromMemory(Values(), [Side, Side]);
        using var right = OrtValue.CreateTensorValueFromMemory(Values(), [Side, Side]);
        using var product = OrtValue.CreateTensorValueFromMemory(new float[Side * Side], [Side, Side]);
        using var runOptions = new RunOptions();
        return Measurement.Time(
            $"FP32 matrix product of {Side}³ in ONNX Runtime", "GFLOP/s",
            () => session.Run(runOptions, ["a", "b"], [left, right], ["c"], [product]),
            seconds => 2.0 * Side * Side * Side / seconds / 1e9, runs: 10, warmups: 2) with { Precision = "fp32" };
    }
}
