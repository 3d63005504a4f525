/* Stands in for NVIDIA's management library: three GPUs, one of them cut into instances; of GPUs and of instances one fails. Built by NvmlLibraryTests. */
#include <string.h>

typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2;

static const unsigned long long MiB = 1024 * 1024;
static int initialised = 0;

#ifdef INIT_FAILS
int nvmlInit_v2(void) { return 9; }
#else
int nvmlInit_v2(void) { initialised++; return 0; }
#endif
int nvmlShutdown(void) { initialised--; return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned int length) { if (!initialised) return 1; strncpy(text, "580.65.06", length); return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 3; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) { if (index > 2) return 2; *device = (void *)(long)(index + 1); return 0; }
int nvmlDeviceGetName(void *device, char *text, unsigned int length)
{
    strncpy(text, device == (void *)1 ? "NVIDIA GeForce RTX 5080" : device == (void *)2 ? "NVIDIA H100" : "NVIDIA H100 MIG 1g.10gb", length);
    return 0;
}
int nvmlDeviceGetUUID(void *device, char *text, unsigned int length) 
{
    strncpy(text, "GPU-6d766c6d-0123-4567-0000-000000000000", length);
    text[39] = (char)('0' + (long)device % 10);
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, memory_v1 *info)
{
    if (device == (void *)3) return 15;
    info->total = 16303 * MiB; info->used = 401 * MiB; info->free = 15902 * MiB;
    return 0;
}
#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2 *info)
{
    if (device == (void *)3 || device == (void *)13) return 15;
    if (info->version != (sizeof(memory_v2) | 2 << 24)) return 25;
    info->total = (device == (void *)1 ? 16303 : 9984) * MiB; info->reserved = 300 * MiB; info->used = 101 * MiB;
    info->free = info->total - 401 * MiB;
    return 0;
}
int nvmlDeviceGetMigMode(void *device, unsigned int *current, unsigned int *pending)
{
    if (device != (void *)2) return 3;
    *current = *pending = 1;
    return 0;
}
#endif
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) { *major = device == (void *)1 ? 12 : 9; *minor = 0; return 0; }
int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned int *count) { *count = 7; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned int index, void **instance)
{
    if (index != 2 && index != 3) return 6;
    *instance = (void *)(long)(10 + index);
    return 0;
}
