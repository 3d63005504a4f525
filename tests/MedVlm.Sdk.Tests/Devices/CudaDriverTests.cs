using MedVlm.Devices;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Tests.Devices;

/// <summary>The calls into CUDA's driver, against one that the test builds: cuda_stub.c.</summary>
public sealed class CudaDriverTests : IDisposable
{
    static readonly string[] s_ids = ["6d766c6d-0123-4567-0000-000000000002", "6d766c6d-0123-4567-0000-000000000001"];

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(null), InlineData("OLD_DRIVER")]
    public void Tells_UUIDs_in_CUDA_s_order(string? define) => Assert.Equal(s_ids, CudaDriver.VisibleIds([_folder.File("not there.so"), Build(define)]));

    [Fact]
    public void A_driver_without_a_device_is_an_answer() => Assert.Empty(CudaDriver.VisibleIds([Build("INIT_RESULT=100")])!);

    [Theory]
    [InlineData("INIT_RESULT=803"), InlineData("UUID_RESULT=999")]
    public void A_driver_that_fails_tells_nothing(string define) => Assert.Null(CudaDriver.VisibleIds([Build(define)]));

    [Fact]
    public void No_driver_tells_nothing() => Assert.Null(CudaDriver.VisibleIds([_folder.File("libcuda.so.1"), OperatingSystem.IsWindows() ? "kernel32.dll" : "libm.so.6"]));

    string Build(string? define) => StandIn.Build("cuda_stub.c", _folder.File($"libcuda-{define}.so"), define);
}
