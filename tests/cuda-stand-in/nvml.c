// Stand-in for libnvidia-ml.so.1: one GeForce RTX 5080.
#include <stdio.h>
#include <stdlib.h>

typedef struct { unsigned long long total, free, used; } memory_v1;

static unsigned long long mib(const char *name, unsigned long long otherwise) { const char *text = getenv(name); return (text ? strtoull(text, NULL, 10) : otherwise) << 20; }

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned length) { return snprintf(text, length, "580.65.06") < 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { static char gpu; *device = &gpu; return 0; }
int nvmlDeviceGetName(void *device, char *text, unsigned length) { return snprintf(text, length, "NVIDIA GeForce RTX 5080") < 0; }
int nvmlDeviceGetUUID(void *device, char *text, unsigned length) { return snprintf(text, length, "GPU-00000000-0000-0000-0000-000000000000") < 0; }
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) { *major = 12, *minor = 0; return 0; }

int nvmlDeviceGetMemoryInfo(void *device, memory_v1 *memory)
{
    memory->total = mib("STAND_IN_MEMORY_MIB", 16303);
    memory->free = mib("STAND_IN_FREE_MIB", memory->total >> 20);
    memory->used = memory->total - memory->free;
    return 0;
}
