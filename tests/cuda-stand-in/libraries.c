// Stand-ins for libcublas.so.13, libcublasLt.so.13, libcudnn.so.9 and libcuda.so.1: what hands something out. All else is made by build.sh.
#include <stddef.h>
#include <string.h>

static int make(void **handle) { static char something; *handle = &something; return 0; }

#ifdef CUBLAS
int cublasCreate_v2(void **handle) { return make(handle); }
int cublasGetMathMode(void *handle, int *mode) { *mode = 0; return 0; }
const char *cublasGetStatusName(int status) { return "CUBLAS_STATUS"; }
const char *cublasGetStatusString(int status) { return "a status of cuBLAS"; }
#endif

#ifdef CUBLASLT
typedef struct { char algorithm[64]; size_t workspace; int state; float waves; int reserved[4]; } heuristic;

int cublasLtCreate(void **handle) { return make(handle); }
int cublasLtMatmulDescCreate(void **description, int compute, int scale) { return make(description); }
int cublasLtMatmulPreferenceCreate(void **preference) { return make(preference); }
int cublasLtMatrixLayoutCreate(void **layout, int type, size_t rows, size_t columns, long leading) { return make(layout); }
int cublasLtMatrixTransformDescCreate(void **description, int scale) { return make(description); }

int cublasLtMatmulAlgoGetHeuristic(
    void *handle, void *operation, void *a, void *b, void *c, void *d, void *preference, int wanted, heuristic *found, int *count)
{
    memset(found, 0, sizeof *found);
    *count = 1;
    return 0;
}
#endif

#ifdef CUDNN
size_t cudnnGetVersion(void) { return 90200; }   // too old for its attention, whose plans would have to be made up
int cudnnCreate(void **handle) { return make(handle); }
const char *cudnnGetErrorString(int status) { return "a status of cuDNN"; }
int cudnnCreateTensorDescriptor(void **description) { return make(description); }
int cudnnCreateReduceTensorDescriptor(void **description) { return make(description); }
int cudnnCreateFilterDescriptor(void **description) { return make(description); }
int cudnnGetReductionWorkspaceSize(void *handle, void *reduce, void *from, void *to, size_t *bytes) { *bytes = 0; return 0; }
int cudnnGetReductionIndicesSize(void *handle, void *reduce, void *from, void *to, size_t *bytes) { *bytes = 0; return 0; }
#endif
