using MedVlm.ConsoleSample;

return await ConsoleApp.RunAsync(args, Terminal.OfThisProcess());
