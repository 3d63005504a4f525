using System.Text;
using MedVlm.Tests.Checkpoints;

namespace MedVlm.Evaluation.Tests.Files;

public sealed class ClefSubmissionTests : IDisposable
{
    static readonly string[] s_ids = ["a", "b", "c"];

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("ID,Caption\na,1\nb,2\nc,3\n", "")]
    [InlineData("ID,Caption\r\nc,1\r\nb,\"2, or\"\"3\"\"\"\r\na,\r\n", "")]
    [InlineData("ID,Caption\na,1\nb,\"2\n\n2\"\nc,3", "")]
    [InlineData("\uFEFFID,Caption\na,1\nb,2\nc,3\n",
        "Header 1: the file begins with a byte order mark, which the task's scorer takes for a part of the first column's name; save it as UTF-8 without one.")]
    [InlineData("ID,Caption\na,1\n\nb,2\nc,3\n", "Malformed 1: 1 malformed line: line 3 (blank).")]
    [InlineData("ID,Caption\r\na,1\r\nb,2\r\nc,3\r\n\r\n", "Malformed 1: 1 malformed line: line 5 (blank).")]
    [InlineData("ID,Caption\na,1\nb,2\nc,3\n\n\n", "Malformed 2: 2 malformed lines: line 5 (blank); line 6 (blank).")]
    [InlineData("id,caption\na,1\nb,2\nc,3\n", "Header 1: the first line is \"id,caption\"; it must be ID,Caption.")]
    [InlineData("ID,Caption,Score\na,1,0\nb,2,0\nc,3,0\n", "Header 1: the first line is \"ID,Caption,Score\"; it must be ID,Caption.")]
    [InlineData("{\"id\":\"a\",\"caption\":\"1\"}\n{\"id\":\"b\",\"caption\":\"2\"}\n{\"id\":\"c\",\"caption\":\"3\"}\n",
        "Header 1: the file is JSON lines; it must be CSV whose first line is ID,Caption.")]
    [InlineData("ID,Caption\na,1\na,1\n,2\nx,3\nb,1\n", "BlankId 1: 1 line without an id: line 4.\n"
        + "DuplicateId 1: 1 id more than once: \"a\" (lines 2 and 3). Each image has one line.\n"
        + "MissingId 1: 1 image without a caption: \"c\".\nUnknownId 1: 1 image not in the test set: \"x\".")]
    [InlineData("ID,Caption\na,1\nb,2,3\nc,3\n", "Malformed 1: 1 malformed line: line 3 (3 fields instead of 2).\nMissingId 1: 1 image without a caption: \"b\".")]
    public void Problems_are_listed(string text, string problems)
    {
        var check = Check(Encoding.UTF8.GetBytes(text));
        Assert.Equal(problems, string.Join('\n', check.Problems.Select(problem => $"{problem.Kind} {problem.Count}: {problem.Message}")));
        Assert.Equal(problems == "", check.IsValid);
    }

    [Fact]
    public void Another_encoding_is_the_only_problem_named()
    {
        var check = Check(Encoding.Latin1.GetBytes("ID,Caption\na,Röntgen\n"));
        Assert.Equal(new ClefProblem(ClefProblemKind.Encoding, 1, "not UTF-8 on 1 line: line 2. Save the file as UTF-8."), Assert.Single(check.Problems));
    }

    ClefCheck Check(byte[] bytes)
    {
        var path = Path.Combine(_folder.Path, "run.csv");
        File.WriteAllBytes(path, bytes);
        return ClefSubmission.Check(path, s_ids, TestContext.Current.CancellationToken);
    }
}
