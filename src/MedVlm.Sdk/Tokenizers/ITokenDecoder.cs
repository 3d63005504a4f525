using System.Text;

namespace MedVlm.Tokenizers;

/// <summary>Ids to text, one at a time; the state of one text, for one thread.</summary>
internal interface ITokenDecoder
{
    /// <summary>Appends the text that is certain after this id. A later id never changes it.</summary>
    void Add(int id, StringBuilder text);

    /// <summary>Appends what was held back for an id that did not come, and begins anew.</summary>
    void Flush(StringBuilder text);
}
