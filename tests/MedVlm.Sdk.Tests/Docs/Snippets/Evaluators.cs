// snippet: evaluators
using MedVlm.Evaluation;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.AI.Evaluation;
// end

namespace DocumentationSnippets;

internal static class Evaluators
{
    public static async Task<double?> RunAsync(ChatResponse response)
    {
        // snippet: evaluators
        IEvaluator evaluator = new CompositeEvaluator(new CaptionEvaluator(new Rouge()), new CaptionEvaluator(new Meteor()));
        EvaluationResult result = await evaluator.EvaluateAsync(
            response, additionalContext: [new CaptionReferences("Chest radiograph showing bilateral pleural effusions.")]);
        double? rouge1 = result.Get<NumericMetric>("ROUGE-1").Value;
        // end
        return rouge1;
    }
}
