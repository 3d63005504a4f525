namespace MedVlm.Tests;

public sealed class TestFoldersTests
{
    [Fact]
    public void Every_folder_of_the_checkout_that_tests_read_is_there()
    {
        Assert.True(Directory.Exists(TestFolders.Goldens), TestFolders.Goldens);
        Assert.True(Directory.Exists(TestFolders.TinyModel), TestFolders.TinyModel);
        Assert.True(Directory.Exists(TestFolders.Phantoms), TestFolders.Phantoms);
    }
}
