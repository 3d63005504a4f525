/* Stands in for NVIDIA's driver API: CUDA sees the instance of nvml_stub.c first and its RTX 5080 second. Built by tests. */

static const int last[] = { 2, 1 };

#ifndef INIT_RESULT
#define INIT_RESULT 0
#endif
#ifndef UUID_RESULT
#define UUID_RESULT 0
#endif

int cuInit(unsigned int flags) { return flags == 0 ? INIT_RESULT : 1; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int ordinal) { if (ordinal < 0 || ordinal > 1) return 101; *device = 70 + ordinal; return 0; }
static int uuid_of(unsigned char *uuid, int device)
{
    static const unsigned char first[] = { 0x6d, 0x76, 0x6c, 0x6d, 0x01, 0x23, 0x45, 0x67 };
    for (int i = 0; i < 16; i++) uuid[i] = i < 8 ? first[i] : 0;
    uuid[15] = (unsigned char)last[device - 70];
    return UUID_RESULT;
}
int cuDeviceGetUuid(unsigned char *uuid, int device) { return uuid_of(uuid, device); }
#ifndef OLD_DRIVER
/* Of an instance the older function tells the whole GPU's. */
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) { return uuid_of(uuid, device); }
#endif
