using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using MedVlm.Graphs;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Kernels;

/// <summary>
/// The operators of this library, made known to ONNX Runtime: its OrtCustomOp structures, whose functions are C#. They live as long as the process.
/// </summary>
internal static unsafe class CustomOperators
{
    public const string Domain = "medvlm";

    static readonly CustomOperator[] s_operators =
    [
        new IntegerAttentionOperator(scaled: false), new IntegerAttentionOperator(scaled: true), new IntegerGroupQueryAttentionOperator(),
        new QuantiseRowsOperator(), new ScaleRowsOperator(), new ActivateRowsOperator(), new NormaliseRowsOperator(),
        new NormaliseSumsOperator(),
    ];

    static readonly Lock s_lock = new();
    static nint s_domain;

    /// <summary>Whether this processor has the instructions that the operators are written in.</summary>
    public static bool AreSupported => IntegerAttention.IsSupported;

    /// <summary>Lets a session know the operators.</summary>
    /// <exception cref="NativeRuntimeException">The native ONNX Runtime is too old.</exception>
    public static void Register(SessionOptions options)
    {
        lock (s_lock)
            s_domain = s_domain != 0 ? s_domain : CreateDomain();
        OrtApi.AddDomain(options.DangerousGetHandle(), s_domain);
        GC.KeepAlive(options);
    }

    static nint CreateDomain()
    {
        OrtApi.Load();
        nint domain = OrtApi.CreateCustomOpDomain(Domain);
        for (int i = 0; i < s_operators.Length; i++)
            OrtApi.AddOperator(domain, Create(i));
        Introduce(domain);
        return domain;
    }

    /// <summary>
    /// The first session that brings a domain along enters it into a list of the whole process, and fails if another one is doing so at the same
    /// time (ONNX Runtime 1.31 looks, and then adds). So a session of no use is the first, and alone.
    /// </summary>
    static void Introduce(nint domain)
    {
        var graph = new GraphBuilder("introduction");
        graph.Output("y", graph.Input("x", ElementType.Float32, 1), ElementType.Float32, 1);
        using var options = new SessionOptions { IntraOpNumThreads = 1, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR };
        OrtApi.AddDomain(options.DangerousGetHandle(), domain);
        new InferenceSession(graph.ToBytes(_ => default), options).Dispose();
    }

    static NativeOperator* Create(int index)
    {
        var native = (NativeOperator*)NativeMemory.AllocZeroed((nuint)sizeof(NativeOperator));
        *native = new NativeOperator
        {
            Version = OrtApi.Version,
            GetName = &GetName,
            GetExecutionProviderType = &GetProvider,
            GetInputType = &GetInputType,
            GetInputTypeCount = &GetInputCount,
            GetOutputType = &GetOutputType,
            GetOutputTypeCount = &GetOutputCount,
            KernelDestroy = &Destroy,
            GetInputCharacteristic = &GetInputCharacteristic,
            GetOutputCharacteristic = &Zero,
            GetInputMemoryType = &Zero,
            CreateKernelV2 = &CreateKernel,
            KernelComputeV2 = &Compute,
            GetStartVersion = &GetStartVersion,
            GetEndVersion = &GetEndVersion,
            Index = index,
            Name = Text(s_operators[index].Name),
        };
        return native;
    }

    static byte* Text(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text + '\0');
        var copy = (byte*)NativeMemory.Alloc((nuint)bytes.Length);
        bytes.CopyTo(new Span<byte>(copy, bytes.Length));
        return copy;
    }

    static CustomOperator Operator(NativeOperator* native) => s_operators[native->Index];

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static byte* GetName(NativeOperator* native) => native->Name;

    // None is the CPU's.
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static byte* GetProvider(NativeOperator* native) => null;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static nuint GetInputCount(NativeOperator* native) => (nuint)Operator(native).Inputs.Count;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static nuint GetOutputCount(NativeOperator* native) => (nuint)Operator(native).Outputs.Count;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static int GetInputType(NativeOperator* native, nuint index) => (int)Operator(native).Inputs[(int)index];

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static int GetOutputType(NativeOperator* native, nuint index) => (int)Operator(native).Outputs[(int)index];

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static int GetInputCharacteristic(NativeOperator* native, nuint index) => Operator(native).IsOptional((int)index) ? 1 : 0;

    /// <summary>Required outputs; inputs in main memory.</summary>
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static int Zero(NativeOperator* native, nuint index) => 0;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static int GetStartVersion(NativeOperator* native) => 1;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static int GetEndVersion(NativeOperator* native) => int.MaxValue;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static nint CreateKernel(NativeOperator* native, nint api, nint info, nint* kernel)
    {
        try
        {
            *kernel = GCHandle.ToIntPtr(GCHandle.Alloc(Operator(native).CreateKernel(info)));
            return 0;
        }
        catch (Exception e)
        {
            return OrtApi.CreateStatus(e.Message);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static nint Compute(nint kernel, nint context)
    {
        try
        {
            ((CustomKernel)GCHandle.FromIntPtr(kernel).Target!).Compute(new KernelContext(context));
            return 0;
        }
        catch (OutOfMemoryException e)
        {
            // In words that the engine knows: it then tries with less.
            return OrtApi.CreateStatus($"Out of memory. {e.Message}");
        }
        catch (Exception e)
        {
            return OrtApi.CreateStatus(e.Message);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    static void Destroy(nint kernel) => GCHandle.FromIntPtr(kernel).Free();

    /// <summary>OrtCustomOp of onnxruntime_c_api.h, and what we need to know again behind it.</summary>
    [StructLayout(LayoutKind.Sequential)]
    struct NativeOperator
    {
        public uint Version;
        public nint CreateKernelV1;
        public delegate* unmanaged[Cdecl]<NativeOperator*, byte*> GetName;
        public delegate* unmanaged[Cdecl]<NativeOperator*, byte*> GetExecutionProviderType;
        public delegate* unmanaged[Cdecl]<NativeOperator*, nuint, int> GetInputType;
        public delegate* unmanaged[Cdecl]<NativeOperator*, nuint> GetInputTypeCount;
        public delegate* unmanaged[Cdecl]<NativeOperator*, nuint, int> GetOutputType;
        public delegate* unmanaged[Cdecl]<NativeOperator*, nuint> GetOutputTypeCount;
        public nint KernelComputeV1;
        public delegate* unmanaged[Cdecl]<nint, void> KernelDestroy;
        public delegate* unmanaged[Cdecl]<NativeOperator*, nuint, int> GetInputCharacteristic;
        public delegate* unmanaged[Cdecl]<NativeOperator*, nuint, int> GetOutputCharacteristic;
        public delegate* unmanaged[Cdecl]<NativeOperator*, nuint, int> GetInputMemoryType;
        public nint GetVariadicInputMinArity;
        public nint GetVariadicInputHomogeneity;
        public nint GetVariadicOutputMinArity;
        public nint GetVariadicOutputHomogeneity;
        public delegate* unmanaged[Cdecl]<NativeOperator*, nint, nint, nint*, nint> CreateKernelV2;
        public delegate* unmanaged[Cdecl]<nint, nint, nint> KernelComputeV2;
        public nint InferOutputShape;
        public delegate* unmanaged[Cdecl]<NativeOperator*, int> GetStartVersion;
        public delegate* unmanaged[Cdecl]<NativeOperator*, int> GetEndVersion;

        // From version 18 on; ONNX Runtime does not look at them in ours.
        public nint GetMayInplace;
        public nint ReleaseMayInplace;
        public nint GetAliasMap;
        public nint ReleaseAliasMap;

        public int Index;
        public byte* Name;
    }
}
