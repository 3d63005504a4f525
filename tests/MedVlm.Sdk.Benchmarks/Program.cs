using MedVlm.Benchmarks.Commands;

namespace MedVlm.Benchmarks;

internal static class Program
{
    const string Usage = """
        Measures MedVlm.Sdk. Each measurement is one line of JSON.

          synth <family> <folder>      Write a checkpoint of the family's true size, its weights made by formula.
              --tokenizer FILE         Default: that in ../shared/tokenizers/<family> beside the checkout
              --shard-mib N            Begin a new shard after N MiB (default: one file)
              --check                  Compare the sha256 of every tensor with the goldens; writes nothing
          synthetic <folder>           Run it on the goldens' cases: the reference's ids, and speed and memory; without goldens only the latter.
              --case NAME              Only this case
          decoder <folder>             Decode steps and prefill of a checkpoint.
              --rows 1,4,8  --prefill 900  --past 900
          vision <folder>              Vision tower of a checkpoint.
              --tiles 1,4
          overlap <folder>             Vision tower between decode steps, and beside them on another thread: the same work.
              --rows 8  --steps 8  --images 2  --past 400
          layers <family>              One layer of the vision tower and one of the decoder, in the family's true size: time, and where it goes.
              --width 1024 --height 768   Size of the image
          layerwise <folder>           LLaVA-Med in FP32 with one layer in memory at a time: prefill and greedy decode steps.
              --tokens 4
          load <folder>                One load, device and memory plan included.
              --runs 1                 Loads in this process, one after the other
              --parts                  What each part of it takes
          memory <folder>              Peak of the process over a batch that fills all slots, beside the memory plan.
              --slots N  --images N  --tokens 16
          cuda                         The goldens' checkpoints in FP16, INT8 and INT4 on a GPU, or on the stand-ins of tests/cuda-stand-in: nodes on the CPU,
                                       memory beside the plan, memory left behind. Fails where there is any. Wants -p:OnnxRuntime=Gpu.
              --checkpoint FOLDER  Another checkpoint
              --family NAME        One layer of a family in its true size
              --precision fp16  --slots N  --images N  --edge 1024  --tokens 8  --loads 3
              --room-mib N         After the load, the stand-in has so much memory left
          quality                      TinyModel: captions in INT8 and INT4 compared with FP32's.
              --images FOLDER          Images with references.json (default: samples/images; may be repeated)
          errors <folder>              Error that INT8 and INT4 leave in a checkpoint's weights.
              --all                    Of each tensor
          bertscore <folder>           BERTScore of made-up captions of ROCOv2's lengths, pairs per second. The folder is an encoder's checkpoint, or
                                       "minilm" or "deberta-xlarge": one of that size with random weights, for the time it takes.
              --layer N  --pairs 2000  --vocabulary FILE   (a vocab.txt; default: BLIP's, which is BERT's)
          machine                      What the machine can do: memory read rate, and a plain matrix product in ONNX Runtime.
          steady                       TinyModel: cold start to the first caption, and captions per second.
          throughput <folder>          Images per second of a checkpoint: one call after another, and batches with 1 and 8 slots; where the time goes.
              --images 64  --tokens 32  --slots 1,8  --edge N (longest edge of an image; default: the checkpoint's)  --vision-cache-mib 0
          callers                      TinyModel: many callers at once, mixed prompts and images; fails on a mix-up, or where something is left behind.
              --callers 8  --captions 10000  --slots 8
          metrics                      Caption metrics over as many pairs as ROCOv2 has images, of made-up text of its lengths.
              --pairs 79789  --runs 3
          leak                         TinyModel: memory over a thousand captions, and a hundred loads.
          job                          TinyModel: a job over generated images, its memory, and again with its process killed at random moments.
              --images 20000  --kills 30  --tokens 4  --slots 8  --vision-cache-mib N (0 keeps no image features)

        decoder, vision, overlap, throughput, synthetic, layers and load: --precision fp32, int8 or int4 (the last two quantise at the first load: MEDVLM_CACHE).
        All but synth and machine: --threads N, --runs N, --session-entry KEY=VALUE (ONNX Runtime's session configuration).
        decoder and vision: --profile FOLDER keeps ONNX Runtime's profile there and prints a line for each operator.
        """;

    static async Task<int> Main(string[] args)
    {
        try
        {
            var arguments = new Arguments(args.Skip(1), "check", "stages", "all", "parts");
            switch (args.FirstOrDefault())
            {
                case "synth": return SynthCommand.Run(arguments);
                case "synthetic": return await SyntheticCommand.RunAsync(arguments);
                case "decoder": DecoderCommand.Run(arguments); return 0;
                case "vision": VisionCommand.Run(arguments); return 0;
                case "overlap": OverlapCommand.Run(arguments); return 0;
                case "layers": LayersCommand.Run(arguments); return 0;
                case "layerwise": LayerwiseCommand.Run(arguments); return 0;
                case "load": LoadCommand.Run(arguments); return 0;
                case "cuda": return await CudaCommand.RunAsync(arguments);
                case "quality": await QualityCommand.RunAsync(arguments); return 0;
                case "errors": QualityCommand.Errors(arguments); return 0;
                case "bertscore": await BertScoreCommand.RunAsync(arguments); return 0;
                case "machine": MachineCommand.Run(); return 0;
                case "steady": await SteadyCommand.RunAsync(arguments); return 0;
                case SteadyCommand.FirstCaption: await SteadyCommand.FirstCaptionAsync(arguments); return 0;
                case "memory": await MemoryCommand.RunAsync(arguments); return 0;
                case "throughput": await ThroughputCommand.RunAsync(arguments); return 0;
                case "callers": return await CallersCommand.RunAsync(arguments);
                case "metrics": MetricsCommand.Run(arguments); return 0;
                case "leak": await LeakCommand.RunAsync(arguments); return 0;
                case "job": return await JobCommand.RunAsync(arguments);
                case JobCommand.Child: return await JobCommand.RunChildAsync(arguments);
                default:
                    Console.Error.WriteLine(Usage);
                    return 2;
            }
        }
        catch (UsageException e)
        {
            Console.Error.WriteLine(e.Message);
            return 2;
        }
    }
}
