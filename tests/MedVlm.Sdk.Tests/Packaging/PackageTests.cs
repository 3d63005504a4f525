using System.IO.Compression;
using System.Xml.Linq;
using MedVlm.Inference;
using MedVlm.Tests.Checkpoints;
using MedVlm.Tests.Docs;

namespace MedVlm.Tests.Packaging;

/// <summary>
/// The packages as a user gets them: packed, installed into a new project outside the repository, and run with the code of the README.
/// </summary>
[Trait("Category", "Package")]
public sealed class PackageTests(PackageTests.Packages packages) : IClassFixture<PackageTests.Packages>
{
    static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public void Three_packages_are_packed_each_with_symbols()
    {
        Assert.Equal(
            [
                $"MedVlm.Sdk.{packages.Version}.nupkg", $"MedVlm.Sdk.{packages.Version}.snupkg",
                $"MedVlm.Sdk.Evaluation.{packages.Version}.nupkg", $"MedVlm.Sdk.Evaluation.{packages.Version}.snupkg",
                $"MedVlm.Sdk.TinyModel.{packages.Version}.nupkg", $"MedVlm.Sdk.TinyModel.{packages.Version}.snupkg",
            ],
            Directory.EnumerateFiles(packages.Feed).Select(Path.GetFileName).Order(StringComparer.OrdinalIgnoreCase));
    }

    [Fact]
    public void The_library_package_has_documentation_readme_and_licence_and_leaves_the_native_runtime_to_the_application()
    {
        using var package = packages.Open("MedVlm.Sdk");
        var (metadata, dependencies) = Nuspec(package, "MedVlm.Sdk");

        Assert.Equal(
            ["README.md", "buildTransitive/MedVlm.Sdk.targets", "lib/net10.0/MedVlm.Sdk.dll", "lib/net10.0/MedVlm.Sdk.xml"], Content(package));
        Assert.Equal(("MIT", "README.md", "git"), (metadata["license"], metadata["readme"], metadata["repository.type"]));
        Assert.Contains("Microsoft.ML.OnnxRuntime.Managed", dependencies);
        Assert.Contains("NetVips.Native", dependencies);
        Assert.DoesNotContain(dependencies, id =>
            id.StartsWith("Microsoft.ML.OnnxRuntime", StringComparison.Ordinal) && id != "Microsoft.ML.OnnxRuntime.Managed");
        Assert.DoesNotContain(dependencies, id => id.StartsWith("Grpc", StringComparison.Ordinal) || id.Contains("Analyzers") || id.Contains("SourceLink"));
    }

    [Fact]
    public void The_model_package_has_its_checkpoint_and_model_card_and_depends_on_the_library_alone()
    {
        using var package = packages.Open("MedVlm.Sdk.TinyModel");
        var (metadata, dependencies) = Nuspec(package, "MedVlm.Sdk.TinyModel");

        string[] checkpoint = [.. Directory.EnumerateFiles(TestFolders.TinyModel).Select(file => $"model/{Path.GetFileName(file)}")];
        Assert.Superset(checkpoint.ToHashSet(), Content(package).ToHashSet());
        Assert.Equal(("MIT", "MODEL_CARD.md"), (metadata["license"], metadata["readme"]));
        Assert.Equal(["MedVlm.Sdk"], dependencies);
    }

    [Fact]
    public void The_evaluation_package_has_documentation_and_its_page_and_leaves_the_native_runtime_to_the_application()
    {
        using var package = packages.Open("MedVlm.Sdk.Evaluation");
        var (metadata, dependencies) = Nuspec(package, "MedVlm.Sdk.Evaluation");

        Assert.Equal(["evaluation.md", "lib/net10.0/MedVlm.Sdk.Evaluation.dll", "lib/net10.0/MedVlm.Sdk.Evaluation.xml"], Content(package));
        Assert.Equal(("MIT", "evaluation.md"), (metadata["license"], metadata["readme"]));
        Assert.Contains("MedVlm.Sdk", dependencies);
        Assert.Contains("Microsoft.Extensions.AI.Evaluation", dependencies);
        Assert.DoesNotContain("Microsoft.ML.OnnxRuntime", dependencies);
        Assert.DoesNotContain(dependencies, id => id.Contains("Analyzers") || id.Contains("SourceLink"));
    }

    [Fact]
    public async Task A_new_project_captions_an_image_with_the_code_of_the_readme()
    {
        using var application = new Application(packages, "Microsoft.ML.OnnxRuntime");

        var build = (await DotnetCli.RunAsync(application.Folder, Token, "build", "-tl:off")).Succeeded();
        Assert.DoesNotContain("MEDVLM001", build.Output);

        var image = Path.Combine(TestFolders.Phantoms, "01-chest-xray-clear.jpg");
        var run = (await DotnetCli.RunAsync(application.Folder, Token, "run", "--no-build", "--", image)).Succeeded();
        Assert.Contains("Frontal chest radiograph with clear lungs.", run.Output);

        (await DotnetCli.RunAsync(application.Folder, Token, "publish", "-c", "Debug", "--no-build", "-o", "published")).Succeeded();
        Assert.Equal(
            Directory.EnumerateFiles(TestFolders.TinyModel).Select(Path.GetFileName).Order(),
            Directory.EnumerateFiles(Path.Combine(application.Folder, "published", "MedVlm.Sdk.TinyModel")).Select(Path.GetFileName).Order());
    }

    [Fact]
    public async Task Without_a_native_runtime_the_build_warns_and_the_program_ends_with_the_same_words()
    {
        using var application = new Application(packages);

        var build = (await DotnetCli.RunAsync(application.Folder, Token, "build", "-tl:off")).Succeeded();
        Assert.Contains($"warning MEDVLM001: {OnnxRuntimeEnvironment.MissingNative}", build.Output);

        var run = await DotnetCli.RunAsync(application.Folder, Token, "run", "--no-build", "--", "no-such.png");
        Assert.NotEqual(0, run.ExitCode);
        Assert.Contains($"Unhandled exception. MedVlm.NativeRuntimeException: {OnnxRuntimeEnvironment.MissingNative}", run.Error);

        // Both ways to say that the library comes from elsewhere.
        foreach (var silent in (string[])["-p:MedVlmCheckNativeRuntime=false", "-p:NoWarn=MEDVLM001"])
            Assert.DoesNotContain("MEDVLM001", (await DotnetCli.RunAsync(application.Folder, Token, "build", "--no-restore", "-tl:off", silent)).Succeeded().Output);
    }

    /// <summary>A console project in a folder of its own, which knows the packed packages and those that this machine has already.</summary>
    sealed class Application : IDisposable
    {
        readonly TemporaryFolder _folder = new();

        public Application(Packages packages, params string[] more)
        {
            var ours = new[] { "MedVlm.Sdk", "MedVlm.Sdk.TinyModel" }.Select(id => (id, packages.Version));
            var references = ours.Concat(more.Select(id => (id, CentralVersion(id))))
                .Select(package => $"""<PackageReference Include="{package.Item1}" Version="{package.Item2}" />""");
            _folder.Write("Application.csproj", $"""
                <Project Sdk="Microsoft.NET.Sdk">
                  <PropertyGroup>
                    <OutputType>Exe</OutputType>
                    <TargetFramework>net10.0</TargetFramework>
                    <ImplicitUsings>enable</ImplicitUsings>
                    <Nullable>enable</Nullable>
                  </PropertyGroup>
                  <ItemGroup>
                    {string.Join("\n    ", references)}
                  </ItemGroup>
                </Project>
                """);
            _folder.Write("nuget.config", $"""
                <configuration>
                  <config><add key="globalPackagesFolder" value="packages" /></config>
                  <packageSources><clear /><add key="packed" value="{packages.Feed}" /></packageSources>
                  <fallbackPackageFolders><clear /><add key="machine" value="{packages.MachineFolder}" /></fallbackPackageFolders>
                  <disabledPackageSources><clear /></disabledPackageSources>
                </configuration>
                """);
            _folder.Write("Program.cs", Snippets.Load()["quickstart"]);
        }

        public string Folder => _folder.Path;

        public void Dispose() => _folder.Dispose();

        static string CentralVersion(string id) => XDocument.Load(Path.Combine(TestFolders.Repository, "Directory.Packages.props"))
            .Descendants("PackageVersion").Single(package => (string?)package.Attribute("Include") == id).Attribute("Version")!.Value;
    }

    static string[] Content(ZipArchive package) =>
        [.. package.Entries.Select(entry => entry.FullName)
            .Where(name => !name.EndsWith(".nuspec", StringComparison.Ordinal) && !name.StartsWith("_rels/", StringComparison.Ordinal)
                && !name.StartsWith("package/", StringComparison.Ordinal) && name != "[Content_Types].xml")
            .Order(StringComparer.Ordinal)];

    static (Dictionary<string, string> Metadata, string[] Dependencies) Nuspec(ZipArchive package, string id)
    {
        using var stream = package.GetEntry($"{id}.nuspec")!.Open();
        var metadata = XDocument.Load(stream).Root!.Elements().Single(element => element.Name.LocalName == "metadata");
        var values = metadata.Elements().Where(element => !element.HasElements).ToDictionary(element => element.Name.LocalName, element => element.Value);
        foreach (var attribute in metadata.Elements().SingleOrDefault(element => element.Name.LocalName == "repository")?.Attributes() ?? [])
            values[$"repository.{attribute.Name.LocalName}"] = attribute.Value;
        return (values, [.. metadata.Descendants().Where(element => element.Name.LocalName == "dependency").Select(element => element.Attribute("id")!.Value)]);
    }

    /// <summary>Packs once for all tests, with build outputs of its own: the outer build's may be in use.</summary>
    public sealed class Packages : IAsyncLifetime
    {
        readonly TemporaryFolder _folder = new();

        public string Version { get; } = $"0.1.0-test.{Guid.NewGuid():N}";

        public string Feed => _folder.File("package/release");

        /// <summary>The machine's own packages folder, so that nothing needs to be fetched.</summary>
        public string MachineFolder { get; private set; } = "";

        public async ValueTask InitializeAsync()
        {
            var locals = (await DotnetCli.RunAsync(TestFolders.Repository, Token, "nuget", "locals", "global-packages", "--list")).Succeeded();
            MachineFolder = locals.Output.Trim().Split(": ", 2)[1];

            // The outer build has analysed this code already; it is most of a build's time.
            (await DotnetCli.RunAsync(
                TestFolders.Repository, Token, "pack", $"-p:Version={Version}", "-p:RunAnalyzers=false", "--artifacts-path", _folder.Path, "-tl:off")).Succeeded();
        }

        public ZipArchive Open(string id) => ZipFile.OpenRead(Path.Combine(Feed, $"{id}.{Version}.nupkg"));

        public ValueTask DisposeAsync()
        {
            _folder.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
