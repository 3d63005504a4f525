using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.ML.OnnxRuntime;

namespace MedVlm.Kernels;

/// <summary>
/// What ONNX Runtime's C interface offers to operators of one's own, which its C# package leaves out. The interface is a table of functions that only
/// ever grows at its end (onnxruntime_c_api.h), so a place in it stays what it is.
/// </summary>
internal static unsafe class OrtApi
{
    /// <summary>The version of the interface that is used: all functions below are in it.</summary>
    public const uint Version = 17;

    static readonly Lock s_lock = new();
    static nint* s_functions;
    static nint s_mainMemory;

    /// <summary>Finds the functions; before it none of the others may be called.</summary>
    /// <exception cref="NativeRuntimeException">The native library is too old, or cannot be found again.</exception>
    public static void Load()
    {
        lock (s_lock)
        {
            if (s_functions != null)
                return;

            if (!NativeLibrary.TryGetExport(Library(), "OrtGetApiBase", out nint entry))
                throw new NativeRuntimeException($"The native ONNX Runtime that was loaded has no C interface. {Advice}");

            var apiBase = ((delegate* unmanaged[Cdecl]<nint*>)entry)();
            var functions = (nint*)((delegate* unmanaged[Cdecl]<uint, nint>)apiBase[0])(Version);
            if (functions == null)
                throw new NativeRuntimeException($"The native ONNX Runtime that was loaded is older than 1.{Version}. {Advice}");

            s_functions = functions;
            nint memory;
            const int Arena = 1, Default = 0;
            Check(((delegate* unmanaged[Cdecl]<int, int, nint*, nint>)functions[69])(Arena, Default, &memory));
            s_mainMemory = memory;
        }
    }

    const string Advice = "Reference the native package in the version of Microsoft.ML.OnnxRuntime.Managed, or set Precision to Fp32, which does without.";

    /// <summary>The library that ONNX Runtime's C# part has loaded, wherever it found it.</summary>
    static nint Library()
    {
        using var process = Process.GetCurrentProcess();
        foreach (ProcessModule module in process.Modules)
            using (module)
                if (module.ModuleName is { } name && (name.StartsWith("onnxruntime.", StringComparison.OrdinalIgnoreCase) || name.StartsWith("libonnxruntime.", StringComparison.Ordinal))
                    && NativeLibrary.TryLoad(module.FileName, out nint loaded))
                    return loaded;

        return NativeLibrary.TryLoad("onnxruntime", typeof(InferenceSession).Assembly, null, out nint found) ? found
            : throw new NativeRuntimeException($"The native ONNX Runtime that was loaded cannot be found again. {Advice}");
    }

    public static nint CreateStatus(string message)
    {
        fixed (byte* text = Encoding.UTF8.GetBytes(message + '\0'))
            return ((delegate* unmanaged[Cdecl]<int, byte*, nint>)s_functions[0])(1, text);
    }

    public static nint CreateCustomOpDomain(string name)
    {
        nint domain;
        fixed (byte* text = Encoding.UTF8.GetBytes(name + '\0'))
            Check(((delegate* unmanaged[Cdecl]<byte*, nint*, nint>)s_functions[26])(text, &domain));
        return domain;
    }

    public static void AddOperator(nint domain, void* op) =>
        Check(((delegate* unmanaged[Cdecl]<nint, void*, nint>)s_functions[27])(domain, op));

    public static void AddDomain(nint sessionOptions, nint domain) =>
        Check(((delegate* unmanaged[Cdecl]<nint, nint, nint>)s_functions[28])(sessionOptions, domain));

    public static float FloatAttribute(nint kernelInfo, ReadOnlySpan<byte> name)
    {
        float value;
        fixed (byte* text = name)
            Check(((delegate* unmanaged[Cdecl]<nint, byte*, float*, nint>)s_functions[85])(kernelInfo, text, &value));
        return value;
    }

    public static int IntAttribute(nint kernelInfo, ReadOnlySpan<byte> name)
    {
        long value;
        fixed (byte* text = name)
            Check(((delegate* unmanaged[Cdecl]<nint, byte*, long*, nint>)s_functions[86])(kernelInfo, text, &value));
        return checked((int)value);
    }

    public static nint Input(nint context, int index)
    {
        nint value;
        Check(((delegate* unmanaged[Cdecl]<nint, nuint, nint*, nint>)s_functions[90])(context, (nuint)index, &value));
        return value;
    }

    public static nint Output(nint context, int index, ReadOnlySpan<long> shape)
    {
        nint value;
        fixed (long* dimensions = shape)
            Check(((delegate* unmanaged[Cdecl]<nint, nuint, long*, nuint, nint*, nint>)s_functions[91])(
                context, (nuint)index, dimensions, (nuint)shape.Length, &value));
        return value;
    }

    public static void* Data(nint value)
    {
        void* data;
        Check(((delegate* unmanaged[Cdecl]<nint, void**, nint>)s_functions[51])(value, &data));
        return data;
    }

    /// <summary>Writes a tensor's dimensions.</summary>
    /// <returns>How many there are.</returns>
    public static int Shape(nint value, Span<long> shape)
    {
        nint info;
        nuint rank;
        Check(((delegate* unmanaged[Cdecl]<nint, nint*, nint>)s_functions[65])(value, &info));
        try
        {
            Check(((delegate* unmanaged[Cdecl]<nint, nuint*, nint>)s_functions[61])(info, &rank));
            fixed (long* dimensions = shape[..(int)rank])
                Check(((delegate* unmanaged[Cdecl]<nint, long*, nuint, nint>)s_functions[62])(info, dimensions, rank));
        }
        finally
        {
            ((delegate* unmanaged[Cdecl]<nint, void>)s_functions[99])(info);
        }
        return (int)rank;
    }

    /// <summary>What the session takes main memory from. To be released.</summary>
    public static nint Allocator(nint context)
    {
        nint allocator;
        Check(((delegate* unmanaged[Cdecl]<nint, nint, nint*, nint>)s_functions[253])(context, s_mainMemory, &allocator));
        return allocator;
    }

    public static byte* Allocate(nint allocator, nuint bytes)
    {
        void* data;
        Check(((delegate* unmanaged[Cdecl]<nint, nuint, void**, nint>)s_functions[75])(allocator, bytes, &data));
        return (byte*)data;
    }

    public static void Free(nint allocator, void* data) =>
        Check(((delegate* unmanaged[Cdecl]<nint, void*, nint>)s_functions[76])(allocator, data));

    public static void ReleaseAllocator(nint allocator) =>
        ((delegate* unmanaged[Cdecl]<nint, void>)s_functions[132])(allocator);

    /// <summary>Calls a function for each index below a count, on the threads of the session.</summary>
    public static void ParallelFor(nint context, delegate* unmanaged[Cdecl]<void*, nuint, void> body, int count, void* data) =>
        Check(((delegate* unmanaged[Cdecl]<nint, delegate* unmanaged[Cdecl]<void*, nuint, void>, nuint, nuint, void*, nint>)s_functions[274])(
            context, body, (nuint)count, 0, data));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Check(nint status)
    {
        if (status != 0)
            Throw(status);
    }

    static void Throw(nint status)
    {
        var message = Marshal.PtrToStringUTF8(((delegate* unmanaged[Cdecl]<nint, nint>)s_functions[2])(status));
        ((delegate* unmanaged[Cdecl]<nint, void>)s_functions[93])(status);
        throw new MedVlmException($"ONNX Runtime refused an operator of this library: {message}");
    }
}
