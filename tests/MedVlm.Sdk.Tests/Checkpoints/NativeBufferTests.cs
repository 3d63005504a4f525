using MedVlm.Checkpoints;

namespace MedVlm.Tests.Checkpoints;

public sealed unsafe class NativeBufferTests
{
    [Theory]
    [InlineData(0UL)]
    [InlineData(1UL)]
    [InlineData(3UL << 30)]   // address space only: pages are taken when they are touched
    public void Is_aligned_and_of_any_length(ulong length)
    {
        using var buffer = new NativeBuffer((nuint)length);

        Assert.Equal(0, (nint)buffer.Data % 64);
        Assert.Equal((nuint)length, buffer.Length);
        if (length > 0)
            buffer.Data[length - 1] = 1;
    }

    [Fact]
    public void Frees_once()
    {
        var buffer = new NativeBuffer(64);

        buffer.Dispose();
        buffer.Dispose();

        Assert.Throws<ObjectDisposedException>(() => (nint)buffer.Data);
    }
}
