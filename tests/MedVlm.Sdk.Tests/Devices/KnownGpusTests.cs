namespace MedVlm.Tests.Devices;

/// <summary>Devices that need not be in the machine, by name.</summary>
public sealed class KnownGpusTests
{
    [Theory]
    [InlineData("RTX 5080", "RTX 5080 16GB", 16, "12.0")]
    [InlineData("NVIDIA GeForce RTX 5080 16GB", "RTX 5080 16GB", 16, "12.0")]
    [InlineData("rtx 4060 ti 16 gb", "RTX 4060 Ti 16GB", 16, "8.9")]
    [InlineData("RTX 4060 Ti", "RTX 4060 Ti 8GB", 8, "8.9")]
    [InlineData("T4", "T4 16GB", 16, "7.5")]
    [InlineData("24", "GPU with 24 GB", 24, "8.0")]
    [InlineData("24 GiB", "GPU with 24 GB", 24, "8.0")]
    public void Names_a_card(string text, string name, int gigabytes, string capability)
    {
        var device = ComputeDevice.Parse(text);

        Assert.Equal((DeviceKind.Cuda, name, capability), (device.Kind, device.Name, $"{device.ComputeCapability}"));
        Assert.InRange((gigabytes * (1L << 30)) - device.TotalMemoryBytes, 1, 200 << 20);
        Assert.True(device.FreeMemoryBytes < device.TotalMemoryBytes);
    }

    [Theory]
    [InlineData("RTX 5080 24GB", "\"RTX 5080 24GB\": the RTX 5080 has 16 GB. Give that, or the number of GB alone.")]
    [InlineData("RTX 1", "\"RTX 1\" is no card that is known here. Give the number of GB of its memory, as \"16\", or one of: RTX 5090,")]
    [InlineData("", "\"\" is no card that is known here.")]
    public void Says_what_can_be_named(string text, string message) =>
        Assert.StartsWith(message, Assert.Throws<ArgumentException>(() => ComputeDevice.Parse(text)).Message, StringComparison.Ordinal);
}
