using MedVlm.Inference;

namespace MedVlm.Tests.Inference;

/// <summary>Callers take turns, whatever they bring.</summary>
public sealed class RoundRobinTests
{
    static readonly object[] s_callers = [new(), new(), new()];

    public static TheoryData<string, string> Turns => new()
    {
        // Each letter is an item of the caller a, b or c, in the order in which they come.
        { "aaa", "aaa" },
        { "aaaabc", "abcaaa" },
        { "aabbcc", "abcabc" },
        { "aaaaaab", "abaaaaa" },
        { "abcabc", "abcabc" },
    };

    [Theory, MemberData(nameof(Turns))]
    public void Callers_take_turns(string come, string taken)
    {
        var queue = new RoundRobin<string>();
        foreach (var (i, caller) in come.Index())
            queue.Add(s_callers[caller - 'a'], $"{caller}{i}");

        Assert.Equal(come.Length, queue.Count);
        var items = TakeAll(queue);
        Assert.Equal(taken, string.Concat(items.Select(item => item[0])));

        // Of one caller, first come is first served.
        foreach (var caller in items.GroupBy(item => item[0]))
            Assert.Equal(caller.OrderBy(item => int.Parse(item[1..])), caller);
        Assert.Equal(0, queue.Count);
    }

    [Fact]
    public void A_caller_that_comes_again_stands_behind_those_that_wait()
    {
        var queue = new RoundRobin<string>();
        queue.Add(s_callers[0], "a0");
        queue.Add(s_callers[1], "b0");
        queue.Add(s_callers[1], "b1");

        Assert.True(queue.TryTake(out var first));
        queue.Add(s_callers[0], "a1");

        Assert.Equal(["a0", "b0", "a1", "b1"], [first, .. TakeAll(queue)]);
    }

    [Fact]
    public void Only_the_next_one_is_asked_for_a_condition()
    {
        var queue = new RoundRobin<string>();
        queue.Add(s_callers[0], "a");
        queue.Add(s_callers[1], "b");

        Assert.False(queue.TryTake(out _, item => item == "b"));
        Assert.True(queue.TryTake(out var item, item => item == "a"));
        Assert.Equal(("a", 1), (item, queue.Count));
    }

    [Fact]
    public void An_item_can_be_taken_out_of_its_turn()
    {
        var queue = new RoundRobin<string>();
        queue.Add(s_callers[0], "a");
        queue.Add(s_callers[1], "b0");
        queue.Add(s_callers[1], "b1");

        Assert.True(queue.Remove(s_callers[0], "a"));
        Assert.True(queue.Remove(s_callers[1], "b0"));
        Assert.False(queue.Remove(s_callers[1], "b0"));
        Assert.False(queue.Remove(s_callers[2], "c"));

        Assert.Equal(["b1"], TakeAll(queue));
    }

    static List<string> TakeAll(RoundRobin<string> queue)
    {
        var taken = new List<string>();
        while (queue.TryTake(out var item))
            taken.Add(item);
        return taken;
    }
}
