using MedVlm.Imaging;
using static MedVlm.Tests.Imaging.SampleImages;

namespace MedVlm.Tests.Imaging;

public sealed class PixelValuesTests
{
    static readonly float[] Mean = [0.48145466f, 0.4578275f, 0.40821073f], Std = [0.26862954f, 0.26130258f, 0.27577711f];

    [Fact]
    public void Pixels_are_rescaled_in_double_and_normalised_in_float32_channel_by_channel()
    {
        var image = new RgbImage(Width, Height, Bytes(3));
        var values = new float[3 * Width * Height];

        PixelValues.ChannelsFirst(image, 1 / 255.0, Mean, Std, values);

        for (int c = 0, i = 0; c < 3; c++)
            for (int y = 0; y < Height; y++)
                for (int x = 0; x < Width; x++, i++)
                {
                    float rescaled = (float)(image.Row(y)[x * 3 + c] * (1 / 255.0));
                    float centred = rescaled - Mean[c];
                    Assert.Equal(centred / Std[c], values[i]);
                }
    }

    // numpy: ((np.uint8(v) * np.float64(1/255)).astype(np.float32) - np.float32(mean)) / np.float32(std)
    [Theory]
    [InlineData(0, -1.79226255f)]
    [InlineData(1, -1.77766407f)]
    [InlineData(127, 0.0617376044f)]
    [InlineData(255, 1.93033612f)]
    public void The_values_are_those_of_numpy(byte pixel, float expected)
    {
        var values = new float[3];

        PixelValues.ChannelsFirst(new RgbImage(1, 1, [pixel, 0, 0]), 0.00392156862745098, Mean, Std, values);

        Assert.Equal(expected, values[0]);
    }

    [Fact]
    public void A_black_image_has_the_values_of_black_pixels()
    {
        float[] expected = new float[3 * Width * Height], values = new float[expected.Length];

        PixelValues.ChannelsFirst(new RgbImage(Width, Height, new byte[expected.Length]), 1 / 255.0, Mean, Std, expected);
        PixelValues.ChannelsFirst(RgbImage.Black(Width, Height), 1 / 255.0, Mean, Std, values);

        Assert.Equal(expected, values);
    }

    [Fact]
    public void A_destination_of_another_size_is_refused() =>
        Assert.Equal(
            "The destination holds 13 values; [3, 2, 2] asks for 12.",
            Assert.Throws<ArgumentException>(() => PixelValues.ChannelsFirst(new RgbImage(2, 2, new byte[12]), 1, Mean, Std, new float[13])).Message);
}
