using System.Text;
using MedVlm.Tokenizers;

namespace MedVlm.Models;

/// <summary>A prompt as it is put together: the template's text, in which special tokens count, and the user's, in which they do not.</summary>
internal sealed class PromptText
{
    readonly StringBuilder _text = new();
    Range _user;

    /// <summary>Text of the chat template.</summary>
    public PromptText Template(string text)
    {
        _text.Append(text);
        return this;
    }

    /// <summary>The user's text, once: a special token written in it stays ordinary text.</summary>
    public PromptText User(string text)
    {
        int start = _text.Length;
        _text.Append(text);
        _user = start.._text.Length;
        return this;
    }

    public int[] Encode(Tokenizer tokenizer) => tokenizer.Encode(_text.ToString(), _user);
}
