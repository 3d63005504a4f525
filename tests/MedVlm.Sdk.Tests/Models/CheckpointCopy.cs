using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using MedVlm.Checkpoints;
using MedVlm.Graphs;
using MedVlm.Inference;
using MedVlm.Models;
using MedVlm.Tests.Checkpoints;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Tests.Models;

/// <summary>Checkpoints that differ from a golden one, or from the published one, by a setting.</summary>
internal static class CheckpointCopy
{
    /// <summary>A copy of a folder with another config.json, or another of its files.</summary>
    public static TemporaryFolder Of(string folder, Action<JsonObject> change, string file = "config.json")
    {
        var copy = new TemporaryFolder();
        foreach (var path in Directory.EnumerateFiles(folder))
            copy.Write(Path.GetFileName(path), File.ReadAllBytes(path));
        var json = JsonNode.Parse(File.ReadAllText(copy.File(file)))!.AsObject();
        change(json);
        copy.Write(file, json.ToJsonString());
        return copy;
    }

    /// <summary>Makes some rows of a weight larger, in the file that has it.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="name">The weight.</param>
    /// <param name="factor">By how much, by row: a power of two, so that no digit changes.</param>
    public static void ScaleRows(string folder, string name, Func<int, float> factor)
    {
        string file;
        long offset;
        byte[] bytes;
        using (var checkpoint = Checkpoint.Open(folder))
        {
            var tensor = checkpoint.Tensors[name];
            Assert.Equal(TensorDtype.BF16, tensor.Dtype);
            (file, offset, bytes) = (tensor.File.Path, tensor.Offset, new byte[tensor.Length]);
            unsafe
            {
                new ReadOnlySpan<byte>(tensor.Data, bytes.Length).CopyTo(bytes);
            }
            int columns = (int)(tensor.Elements / tensor.Shape[0]);
            var values = MemoryMarshal.Cast<byte, ushort>(bytes.AsSpan());
            for (int i = 0; i < values.Length; i++)
                values[i] = (ushort)(BitConverter.SingleToUInt32Bits(BitConverter.UInt32BitsToSingle((uint)values[i] << 16) * factor(i / columns)) >> 16);
        }
        using var stream = File.OpenWrite(file);
        stream.Position = offset;
        stream.Write(bytes);
    }

    /// <summary>ONNX Runtime loads both graphs. It makes no packed copies of the weights, so that one layer of a 7B model takes no memory to speak of.</summary>
    public static void AssertLoads(string folder)
    {
        using var checkpoint = Checkpoint.Open(folder);
        var family = ModelRegistry.Create(new ModelSource(checkpoint));
        var tensors = family.Tensors(checkpoint);
        var graphs = ModelGraphs.Build(family, tensors.ToDictionary(tensor => tensor.Key, tensor => new WeightInfo("", tensor.Value.Shape)));
        using var weights = new WeightMemory(tensors, new Dictionary<string, LoraDelta>());
        OnnxRuntimeEnvironment.Ensure();
        foreach (var graph in (GraphBuilder[])[graphs.Vision, graphs.Decoder])
        {
            using var options = new SessionOptions();
            options.AddSessionConfigEntry("session.disable_prepacking", "1");
            var values = weights.Register(graph, options);
            using var session = new InferenceSession(graph.ToBytes(weights.Place), options);
            foreach (var value in values)
                value.Dispose();
        }
        Assert.Equal(0, weights.Bytes);   // all of it as it lies in the file
    }
}
