using System.Runtime.CompilerServices;

namespace MedVlm.Datasets;

/// <summary>The image files of a folder and the folders below it.</summary>
internal sealed class FolderDataset : CaptionDataset
{
    readonly string _folder;

    public FolderDataset(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!Directory.Exists(folder))
            throw new DatasetException($"There is no folder \"{folder}\".");
        _folder = folder;
    }

    public override string Description => "folder of images";

    public override async IAsyncEnumerable<DatasetItem> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        foreach (var request in Requests())
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return new DatasetItem(request.Id, request.Images[0]);
        }
        await ValueTask.CompletedTask.ConfigureAwait(false);
    }

    // Finding the files is what can fail; FromFolder has found them all when it gives the first.
    IEnumerable<CaptionRequest> Requests()
    {
        using var requests = Guard(() => CaptionRequest.FromFolder(_folder).GetEnumerator());
        while (Guard(requests.MoveNext))
            yield return requests.Current;
    }

    static T Guard<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException("The folder cannot be read to its end. Check that it is there, and that this process may read it and all folders below.", e);
        }
    }
}
