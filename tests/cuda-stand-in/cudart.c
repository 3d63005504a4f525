// Stand-in for libcudart.so.13: one GPU whose kernels do nothing and whose memory cannot be touched from the host except by cudaMemcpy.
#define _GNU_SOURCE
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { success = 0, invalid_value = 1, out_of_memory = 2, insufficient_driver = 35, no_device = 100 };

// ---- What the stand-in is told by environment variables, and what it tells ----

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static size_t used, peak, limit;

static size_t number(const char *name, size_t otherwise) { const char *text = getenv(name); return text ? strtoull(text, NULL, 10) : otherwise; }

size_t stand_in_used(void) { return used; }
size_t stand_in_peak(void) { return peak; }
void stand_in_reset_peak(void) { peak = used; }
void stand_in_set_limit(size_t bytes) { limit = bytes; }

// Where a function has no more than a status to give, the build makes it call this.
int stand_in_unknown(const char *name)
{
    if (getenv("STAND_IN_LOG"))
        fprintf(stderr, "stand-in: %s\n", name);
    return success;
}

static _Thread_local int last_error;
static int failed(int error) { return last_error = error; }

const char *cudaGetErrorName(int error)
{
    return error == success ? "cudaSuccess" : error == out_of_memory ? "cudaErrorMemoryAllocation" : error == insufficient_driver ? "cudaErrorInsufficientDriver"
         : error == no_device ? "cudaErrorNoDevice" : "cudaErrorUnknown";
}

const char *cudaGetErrorString(int error)
{
    return error == success ? "no error" : error == out_of_memory ? "out of memory"
         : error == insufficient_driver ? "CUDA driver version is insufficient for CUDA runtime version"
         : error == no_device ? "no CUDA-capable device is detected" : "unknown error";
}

int cudaGetLastError(void) { int error = last_error; last_error = success; return error; }
int cudaPeekAtLastError(void) { return last_error; }

// ---- Memory: addresses that fault in a window, and the same bytes at a fixed distance, which cudaMemcpy reads and writes ----

#define WINDOW ((size_t)1 << 42)
#define PAGE 4096

typedef struct { char *start; size_t bytes, asked; } allocation;

static char *window;
static size_t taken;
static allocation *allocations;
static size_t count, room;

__attribute__((constructor)) static void reserve(void)
{
    limit = number("STAND_IN_MEMORY_MIB", 16303) << 20;
    window = mmap(NULL, 2 * WINDOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (window == MAP_FAILED)
        abort();
}

static int on_device(const void *address) { return (const char *)address >= window && (const char *)address < window + WINDOW; }
static void *host_side(const void *address) { return (char *)address + (on_device(address) ? WINDOW : 0); }

int cudaMalloc(void **address, size_t asked)
{
    size_t bytes = (asked + PAGE - 1) / PAGE * PAGE;
    *address = NULL;
    pthread_mutex_lock(&gate);
    if (used + asked > limit || taken + bytes > WINDOW) {
        pthread_mutex_unlock(&gate);
        return failed(out_of_memory);
    }
    if (asked > 0) {
        if (count == room)
            allocations = realloc(allocations, (room = 2 * room + 64) * sizeof *allocations);
        char *start = window + taken;   // never used again: what is freed faults, what is new is zero
        mprotect(start + WINDOW, bytes, PROT_READ | PROT_WRITE);
        allocations[count++] = (allocation){start, bytes, asked};
        taken += bytes;
        used += asked;
        peak = used > peak ? used : peak;
        *address = start;
    }
    pthread_mutex_unlock(&gate);
    return success;
}

int cudaFree(void *address)
{
    if (!address)
        return success;
    size_t i = 0;
    pthread_mutex_lock(&gate);
    while (i < count && allocations[i].start != address)
        i++;
    int known = i < count;
    if (known) {
        mmap(allocations[i].start + WINDOW, allocations[i].bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        used -= allocations[i].asked;
        allocations[i] = allocations[--count];
    }
    pthread_mutex_unlock(&gate);
    return known ? success : failed(invalid_value);
}

int cudaMallocFromPoolAsync(void **address, size_t bytes, void *pool, void *stream) { return cudaMalloc(address, bytes); }
int cudaFreeAsync(void *address, void *stream) { return cudaFree(address); }
int cudaMallocHost(void **address, size_t bytes) { return (*address = malloc(bytes)) ? success : failed(out_of_memory); }
int cudaHostAlloc(void **address, size_t bytes, unsigned flags) { return cudaMallocHost(address, bytes); }
int cudaFreeHost(void *address) { free(address); return success; }
int cudaMemGetInfo(size_t *free_bytes, size_t *total) { *total = limit; *free_bytes = limit > used ? limit - used : 0; return success; }

// What comes back from the device is zeros: nobody has computed it.
int cudaMemcpy(void *to, const void *from, size_t bytes, int kind)
{
    if (on_device(from) && !on_device(to))
        memset(to, 0, bytes);
    else
        memmove(host_side(to), host_side(from), bytes);
    return success;
}

int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream) { return cudaMemcpy(to, from, bytes, kind); }
int cudaMemset(void *to, int value, size_t bytes) { memset(host_side(to), value, bytes); return success; }
int cudaMemsetAsync(void *to, int value, size_t bytes, void *stream) { return cudaMemset(to, value, bytes); }
int cudaMemcpyFromSymbol(void *to, const void *symbol, size_t bytes, size_t offset, int kind) { memset(host_side(to), 0, bytes); return success; }

int cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height, int kind, void *stream)
{
    for (size_t row = 0; row < height; row++)
        cudaMemcpy((char *)to + row * to_pitch, (char *)from + row * from_pitch, width, kind);
    return success;
}

typedef struct { int type, device; void *device_pointer, *host_pointer; long reserved[8]; } pointer_attributes;

int cudaPointerGetAttributes(pointer_attributes *attributes, const void *address)
{
    enum { unregistered = 0, device = 2 };
    memset(attributes, 0, sizeof *attributes);
    attributes->type = on_device(address) ? device : unregistered;
    attributes->device_pointer = on_device(address) ? (void *)address : NULL;
    return success;
}

// ---- The device: the numbers of an RTX 5080 that ONNX Runtime asks for ----

typedef struct {
    char name[256], uuid[16], luid[8];
    unsigned luid_mask;
    size_t memory, shared_per_block;
    int registers_per_block, warp;
    size_t pitch;
    int threads_per_block, threads[3], grid[3];
    size_t constant;
    int major, minor;
    size_t texture_alignment, texture_pitch_alignment;
    int processors, integrated, maps_host, textures_and_surfaces[39];
    size_t surface_alignment;
    int concurrent_kernels, ecc, pci_bus, pci_device, pci_domain, tcc, async_engines, unified_addressing, bus_width, l2, persisting_l2, threads_per_processor,
        stream_priorities, global_l1, local_l1;
    size_t shared_per_processor;
    int registers_per_processor, managed, multi_gpu[2], native_atomics, pageable, concurrent_managed, preemption, host_pointer, cooperative;
    size_t shared_per_block_optin;
    int host_page_tables, direct_managed, blocks_per_processor, access_policy_window;
    size_t reserved_shared_per_block;
    int rest[77];
} device_properties;   // cudaDeviceProp of CUDA 13

_Static_assert(offsetof(device_properties, reserved_shared_per_block) == 696 && sizeof(device_properties) == 1016, "CUDA 13 lays it out so");

int cudaGetDeviceProperties(device_properties *p, int device)
{
    *p = (device_properties){
        .memory = limit, .shared_per_block = 48 << 10, .registers_per_block = 65536, .warp = 32, .pitch = INT32_MAX, .threads_per_block = 1024,
        .threads = {1024, 1024, 64}, .grid = {INT32_MAX, 65535, 65535}, .constant = 64 << 10, .major = (int)number("STAND_IN_CAPABILITY", 120) / 10,
        .minor = (int)number("STAND_IN_CAPABILITY", 120) % 10, .texture_alignment = 512, .processors = 84, .maps_host = 1, .concurrent_kernels = 1,
        .async_engines = 2, .unified_addressing = 1, .bus_width = 256, .l2 = 64 << 20, .threads_per_processor = 1536, .shared_per_processor = 100 << 10,
        .registers_per_processor = 65536, .managed = 1, .cooperative = 1, .shared_per_block_optin = 99 << 10, .blocks_per_processor = 24,
        .reserved_shared_per_block = 1 << 10,
    };
    strcpy(p->name, "NVIDIA GeForce RTX 5080");
    return success;
}

int cudaDeviceGetAttribute(int *value, int attribute, int device)
{
    enum { threads_per_block = 1, shared_per_block = 8, warp = 10, registers = 12, processors = 16, l2 = 38, threads_per_processor = 39, major = 75, minor = 76,
           shared_per_processor = 81, cooperative = 95, shared_optin = 97, blocks_per_processor = 106, memory_pools = 115 };
    device_properties p;
    cudaGetDeviceProperties(&p, device);
    switch (attribute) {
    case threads_per_block: *value = p.threads_per_block; break;
    case shared_per_block: *value = (int)p.shared_per_block; break;
    case warp: *value = p.warp; break;
    case registers: *value = p.registers_per_block; break;
    case processors: *value = p.processors; break;
    case l2: *value = p.l2; break;
    case threads_per_processor: *value = p.threads_per_processor; break;
    case major: *value = p.major; break;
    case minor: *value = p.minor; break;
    case shared_per_processor: *value = (int)p.shared_per_processor; break;
    case cooperative: case memory_pools: *value = 1; break;
    case shared_optin: *value = (int)p.shared_per_block_optin; break;
    case blocks_per_processor: *value = p.blocks_per_processor; break;
    default: *value = 0; stand_in_unknown("cudaDeviceGetAttribute"); break;
    }
    return success;
}

// STAND_IN_FAIL is what the first call of any program fails with: 35 for a driver that is too old, 100 for no device.
int cudaGetDeviceCount(int *devices) { int error = (int)number("STAND_IN_FAIL", 0); *devices = !error; return error ? failed(error) : success; }
int cudaSetDevice(int device) { int error = (int)number("STAND_IN_FAIL", 0); return error ? failed(error) : success; }
int cudaGetDevice(int *device) { *device = 0; return success; }
int cudaDriverGetVersion(int *version) { *version = 13000; return success; }
int cudaRuntimeGetVersion(int *version) { *version = 13000; return success; }

// ---- Streams, events, pools: names without anything behind them ----

static int make(void **handle) { static char something; *handle = &something; return success; }

int cudaStreamCreate(void **stream) { return make(stream); }
int cudaStreamCreateWithFlags(void **stream, unsigned flags) { return make(stream); }
int cudaStreamIsCapturing(void *stream, int *status) { *status = 0; return success; }
int cudaEventCreate(void **event) { return make(event); }
int cudaEventCreateWithFlags(void **event, unsigned flags) { return make(event); }
int cudaEventElapsedTime(float *milliseconds, void *start, void *end) { *milliseconds = 0; return success; }
int cudaLaunchHostFunc(void *stream, void (*function)(void *), void *data) { function(data); return success; }
int cudaMemPoolCreate(void **pool, const void *properties) { return make(pool); }
int cudaMemPoolGetAttribute(void *pool, int attribute, void *value) { *(uint64_t *)value = 0; return success; }
int cudaLibraryLoadData(void **library, const void *code, void *a, void *b, unsigned c, void *d, void *e, unsigned f) { return make(library); }
int cudaLibraryGetKernel(void **kernel, void *library, const char *name) { return make(kernel); }
int cudaGraphInstantiate(void **graph, void *from, unsigned long long flags) { return make(graph); }
int cudaStreamEndCapture(void *stream, void **graph) { return make(graph); }

static int any(void) { return success; }

int cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned version, unsigned long long flags, int *found)
{
    *function = (void *)any;
    if (found)
        *found = 0;
    return success;
}

// ---- Kernels: registered, configured, launched, and nothing done ----

typedef struct { unsigned x, y, z; } dim3;
static _Thread_local struct { dim3 grid, block; size_t shared; void *stream; } configuration;

void **__cudaRegisterFatBinary(void *code) { static void *handle; return &handle; }
int __cudaGetKernel(void **kernel, const void *function) { *kernel = (void *)function; return success; }

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void *stream)
{
    configuration.grid = grid, configuration.block = block, configuration.shared = shared, configuration.stream = stream;
    return 0;
}

int __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void **stream)
{
    *grid = configuration.grid, *block = configuration.block, *shared = configuration.shared, *stream = configuration.stream;
    return success;
}

int __cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **arguments, size_t shared, void *stream) { return success; }
int cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **arguments, size_t shared, void *stream) { return success; }
int cudaLaunchCooperativeKernel(const void *kernel, dim3 grid, dim3 block, void **arguments, size_t shared, void *stream) { return success; }
int cudaLaunchKernelExC(const void *configured, const void *kernel, void **arguments) { return success; }

typedef struct { size_t shared, constant, local; int threads, registers, ptx, binary, cache_mode, dynamic_shared, rest[23]; } function_attributes;

int cudaFuncGetAttributes(function_attributes *attributes, const void *function)
{
    *attributes = (function_attributes){.threads = 1024, .registers = 64, .ptx = 120, .binary = 120, .dynamic_shared = 99 << 10};
    return success;
}

int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *function, int threads, size_t shared, unsigned flags) { *blocks = 1; return success; }
