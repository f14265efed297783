/* The best that OpenBLAS (float32) and oneDNN (bfloat16, int8) do in one thread. */
#include "encode_peak.h"
#include "internal.h"

#include <cblas.h>
#include <dnnl.h>
#include <math.h>
#include <time.h>

#define SIDE   1024
#define ROUNDS 12

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double best_f32(void)
{
    size_t n = (size_t)SIDE * SIDE;
    float *a = akin_calloc(3 * n, sizeof *a);
    double best = 0;

    for (size_t i = 0; a && i < 2 * n; i++)
        a[i] = (float)(i % 17) - 8;
    for (int round = 0; a && round < ROUNDS; round++) {
        double start = seconds();

        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, SIDE, SIDE, SIDE,
                    1, a, SIDE, a + n, SIDE, 0, a + 2 * n, SIDE);
        best = fmax(best, (double)n * SIDE / (seconds() - start));
    }
    akin_free(a);
    return best;
}

typedef struct {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t matmul;
    dnnl_memory_t memory[3];
} product;

static dnnl_status_t prepare(product *p, bool int8)
{
    dnnl_dims_t dims = {SIDE, SIDE};
    dnnl_memory_desc_t x, w, y;
    dnnl_matmul_desc_t m;
    dnnl_status_t rc = dnnl_engine_create(&p->engine, dnnl_cpu, 0);

    if (!rc)
        rc = dnnl_stream_create(&p->stream, p->engine,
                                dnnl_stream_default_flags);
    if (!rc)
        rc = dnnl_memory_desc_init_by_tag(&x, 2, dims,
                                          int8 ? dnnl_u8 : dnnl_bf16, dnnl_ab);
    if (!rc)
        rc = dnnl_memory_desc_init_by_tag(
            &w, 2, dims, int8 ? dnnl_s8 : dnnl_bf16, dnnl_format_tag_any);
    if (!rc)
        rc = dnnl_memory_desc_init_by_tag(&y, 2, dims,
                                          int8 ? dnnl_s32 : dnnl_f32, dnnl_ab);
    if (!rc) rc = dnnl_matmul_desc_init(&m, &x, &w, NULL, &y);
    if (!rc)
        rc = dnnl_primitive_desc_create(&p->desc, &m, NULL, p->engine, NULL);
    if (!rc) rc = dnnl_primitive_create(&p->matmul, p->desc);
    if (rc) return rc;
    w = *dnnl_primitive_desc_query_md(p->desc, dnnl_query_weights_md, 0);
    rc = dnnl_memory_create(&p->memory[0], &x, p->engine, DNNL_MEMORY_ALLOCATE);
    if (!rc)
        rc = dnnl_memory_create(&p->memory[1], &w, p->engine,
                                DNNL_MEMORY_ALLOCATE);
    if (!rc)
        rc = dnnl_memory_create(&p->memory[2], &y, p->engine,
                                DNNL_MEMORY_ALLOCATE);
    for (int i = 0; i < 2 && !rc; i++) { /* small numbers, never NaN */
        uint8_t *bytes;

        rc = dnnl_memory_get_data_handle(p->memory[i], (void **)&bytes);
        for (size_t k = 0; k < (size_t)SIDE * SIDE * (int8 ? 1 : 2) && !rc; k++)
            bytes[k] = (uint8_t)(k % 61);
    }
    return rc;
}

static double best_lowp(bool int8)
{
    product p = {0};
    double best = 0;

    if (prepare(&p, int8) == dnnl_success) {
        dnnl_exec_arg_t args[3] = {{DNNL_ARG_SRC, p.memory[0]},
                                   {DNNL_ARG_WEIGHTS, p.memory[1]},
                                   {DNNL_ARG_DST, p.memory[2]}};

        for (int round = 0; round < ROUNDS; round++) {
            double start = seconds();

            if (dnnl_primitive_execute(p.matmul, p.stream, 3, args) ||
                dnnl_stream_wait(p.stream))
                break;
            best = fmax(best, (double)SIDE * SIDE * SIDE / (seconds() - start));
        }
    }
    for (int i = 0; i < 3; i++)
        dnnl_memory_destroy(p.memory[i]);
    dnnl_primitive_destroy(p.matmul);
    dnnl_primitive_desc_destroy(p.desc);
    dnnl_stream_destroy(p.stream);
    dnnl_engine_destroy(p.engine);
    return best;
}

double gemm_peak(akin_precision precision)
{
    int before = akin__one_thread();
    double peak = precision == AKIN_PRECISION_F32
                      ? best_f32()
                      : best_lowp(precision == AKIN_PRECISION_INT8);

    akin__threads_back(before);
    return peak;
}
