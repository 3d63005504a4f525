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
    // Of 1.17, the first version with KernelContext_ParallelFor.
    public const uint Version = 17;

    static readonly nint* s_functions = Functions();

    static nint* Functions()
    {
        // The library that ONNX Runtime's own C# part has loaded, found as it is found there.
        nint library = NativeLibrary.Load("onnxruntime", typeof(InferenceSession).Assembly, null);
        var apiBase = ((delegate* unmanaged[Cdecl]<nint*>)NativeLibrary.GetExport(library, "OrtGetApiBase"))();
        var functions = ((delegate* unmanaged[Cdecl]<uint, nint>)apiBase[0])(Version);
        return functions != 0 ? (nint*)functions : throw new NativeRuntimeException(
            "The native ONNX Runtime that was loaded is older than 1.17: reference the native package in the version of Microsoft.ML.OnnxRuntime.Managed.", null);
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
