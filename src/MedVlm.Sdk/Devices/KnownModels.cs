using MedVlm.Checkpoints;

namespace MedVlm.Devices;

/// <summary>Footprints of the seven models that this library is made for, so that a plan can be made before one is downloaded.</summary>
/// <remarks>
/// Sums over the published checkpoints' tensors, and what a 1024 x 1024 image with the family's default prompt becomes; a test reads them
/// off the families' graphs again.
/// </remarks>
internal static class KnownModels
{
    public static IReadOnlyList<(string Model, ModelFootprint Footprint)> All { get; } =
    [
        ("HuggingFaceTB/SmolVLM-500M-Instruct", new(
            new(96_731_136, 83_904, 3_022_848, 1_511_424, 11_796_480), new(361_881_600, 325_760, 11_308_800, 5_654_400, 47_308_800),
            Others: 1_560_768, HostBytes: 94_617_600, new KvShape(32, 5, 64, 0), new LayerWidths(768, 768, 3072, 960, 2560),
            new CaptionFootprint(1146, 128, 17 * 3 * 512 * 512, 3 * 512 * 512))),

        ("Qwen/Qwen2-VL-2B-Instruct", new(
            new(663_224_320, 375_296, 20_725_760, 10_362_880, 26_214_400), new(1_543_569_408, 797_056, 48_236_544, 24_118_272, 233_373_696),
            Others: 2_191_872, HostBytes: 466_747_392, new KvShape(28, 2, 128, 0), new LayerWidths(1176, 1280, 5120, 1536, 8960),
            new CaptionFootprint(1401, 128, 5_016_016, 5476 * 1176))),

        ("Qwen/Qwen2.5-VL-3B-Instruct", new(
            new(666_664_960, 430_848, 20_838_400, 10_439_680, 26_214_400), new(3_085_697_024, 1_184_128, 96_428_032, 48_214_016, 311_164_928),
            Others: 2_260_992, HostBytes: 622_329_856, new KvShape(36, 2, 128, 0), new LayerWidths(1176, 1280, 3840, 2048, 11008),
            new CaptionFootprint(1401, 128, 5_162_624, 5476 * 1176))),

        ("WafaaFraih/blip-roco-radiology-captioning", new(
            new(99_090_432, 101_376, 3_096_576, 1_548_288, 2_359_296), new(123_122_688, 132_668, 3_847_584, 1_923_792, 23_442_432),
            Others: 1_365_308, HostBytes: 95_342_592, new KvShape(12, 12, 64, 577), new LayerWidths(768, 768, 3072, 768, 3072),
            new CaptionFootprint(1, 128, 3 * 384 * 384, 3 * 384 * 384))),

        ("microsoft/llava-med-v1.5-mistral-7b", new(
            new(310_378_496, 220_160, 9_699_328, 4_849_664, 16_777_216), new(7_110_393_856, 1_408_256, 222_199_808, 111_099_904, 131_072_000),
            Others: 1_776_640, HostBytes: 262_144_000, new KvShape(32, 8, 128, 0), new LayerWidths(588, 1024, 4096, 4096, 14336),
            new CaptionFootprint(601, 128, 343_304, 3 * 336 * 336))),

        ("vikhyatk/moondream2", new(
            new(447_399_424, 283_120, 13_997_504, 7_014_880, 18_874_368), new(1_312_817_152, 493_568, 41_025_536, 20_512_768, 104_857_600),
            Others: 1_845_616, HostBytes: 209_715_200, new KvShape(24, 32, 64, 0), new LayerWidths(588, 1152, 4304, 2048, 8192),
            new CaptionFootprint(735, 128, 10 * 3 * 378 * 378, 10 * 3 * 378 * 378))),

        ("microsoft/Phi-3.5-vision-instruct", new(
            new(311_427_072, 218_112, 9_732_096, 4_866_048, 12_582_912), new(3_722_379_264, 1_047_872, 116_324_352, 58_162_176, 98_500_608),
            Others: 1_716_224, HostBytes: 197_001_216, new KvShape(32, 32, 96, 0), new LayerWidths(588, 1024, 4096, 3072, 16384),
            new CaptionFootprint(783, 128, 2_733_768, 5 * 3 * 336 * 336))),
    ];

    /// <summary>The footprint of a hub id, whatever its revision; null where the model is not among them.</summary>
    public static ModelFootprint? Find(string model) =>
        All.FirstOrDefault(known => known.Model.Equals(HubId.TryParse(model)?.Repository, StringComparison.OrdinalIgnoreCase)).Footprint;
}
