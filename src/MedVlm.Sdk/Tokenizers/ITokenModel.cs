namespace MedVlm.Tokenizers;

/// <summary>Text without added tokens to ids. One implementation for each kind of model; safe for many threads.</summary>
internal interface ITokenModel
{
    void Encode(string stretch, List<int> ids);
}
