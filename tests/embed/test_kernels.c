/* The vector passes against their plain loops, for sizes with and without a
 * remainder and values from tiny to absurd. */
#include <stdarg.h>

#include "kernels.h"
#include "reference.h"

#define SEED 20240611u

static uint32_t random_state;

/* xorshift; -1..1 */
static float random_value(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return (float)(random_state >> 8) / 8388608.0f - 1;
}

static float *random_values(size_t n, float scale)
{
    float *x = akin_calloc(n, sizeof *x);

    for (size_t i = 0; i < n; i++)
        x[i] = random_value() * scale;
    return x;
}

static void near(const char *what, const float *got, const float *want,
                 size_t n, float absolute, float relative)
{
    for (size_t i = 0; i < n; i++) {
        float allowed = absolute + relative * fabsf(want[i]);

        if (!(fabsf(got[i] - want[i]) <= allowed))
            fail_msg("%s: value %zu of %zu is %.9g, expected %.9g", what, i, n,
                     (double)got[i], (double)want[i]);
    }
}

static const size_t sizes[] = {1, 7, 15, 16, 17, 48, 50, 64, 77, 768, 1001};
#define SIZES (sizeof sizes / sizeof sizes[0])

static void layernorm(void **state)
{
    (void)state;
    for (size_t s = 0; s < SIZES; s++) {
        size_t C = sizes[s], R = 5;
        float *x = random_values(R * C, 3), *gain = random_values(C, 1);
        float *bias = random_values(C, 1);
        float *a = random_values(R * C, 1), *b = random_values(R * C, 1);
        akin__norm norm = {gain, bias};

        for (size_t i = 0; i < C; i++) /* a row far from 0 */
            x[C + i] += 1000;
        akin__layernorm(a, x, &norm, 1e-5f, R, C);
        akin__layernorm_plain(b, x, &norm, 1e-5f, R, C);
        near("layernorm", a, b, C, 3e-6f, 3e-6f);
        near("layernorm of a shifted row", a + C, b + C, C, 3e-4f, 3e-4f);
        near("layernorm", a + 2 * C, b + 2 * C, 3 * C, 3e-6f, 3e-6f);
        akin__layernorm(x, x, &norm, 1e-5f, R, C);
        assert_memory_equal(x, a, R * C * sizeof *x);
        akin_free(x);
        akin_free(gain);
        akin_free(bias);
        akin_free(a);
        akin_free(b);
    }
}

static void softmax(void **state)
{
    (void)state;
    for (size_t s = 0; s < SIZES; s++) {
        size_t n = sizes[s], stride = n + s % 3, R = n < 20 ? n : 20;
        float *a = random_values(R * stride, 40);
        float *b = akin_calloc(R * stride, sizeof *b);

        memcpy(b, a, R * stride * sizeof *a);
        akin__softmax(a, R, n, stride, 0.7f, s % 2);
        akin__softmax_plain(b, R, n, stride, 0.7f, s % 2);
        near("softmax", a, b, R * stride, 1e-7f, 1e-5f);
        akin_free(a);
        akin_free(b);
    }
}

static void activations(void **state)
{
    static const akin__act acts[] = {AKIN__QUICK_GELU, AKIN__GELU,
                                     AKIN__GELU_TANH, AKIN__ACT_NONE};

    (void)state;
    for (size_t k = 0; k < 4; k++) {
        for (size_t s = 0; s < SIZES; s++) {
            size_t n = sizes[s];
            float *a = random_values(n, s % 2 ? 4 : 200);
            float *b = akin_calloc(n, sizeof *b);

            memcpy(b, a, n * sizeof *a);
            akin__activate(acts[k], a, n);
            akin__activate_plain(acts[k], b, n);
            near("activation", a, b, n, 2e-6f, 1e-6f);
            akin_free(a);
            akin_free(b);
        }
    }
}

/* Densely over the range where the curves bend. */
static void activations_dense(void **state)
{
    size_t n = 200001;
    float *a = akin_calloc(n, sizeof *a), *b = akin_calloc(n, sizeof *b);

    (void)state;
    for (int act = AKIN__QUICK_GELU; act <= AKIN__GELU_TANH; act++) {
        for (size_t i = 0; i < n; i++)
            a[i] = b[i] = (float)i * 1e-4f - 10;
        akin__activate((akin__act)act, a, n);
        akin__activate_plain((akin__act)act, b, n);
        near("activation", a, b, n, 2e-6f, 1e-6f);
    }
    akin_free(a);
    akin_free(b);
}

static void few_rows(void **state)
{
    static const size_t inputs[] = {1, 16, 48, 77, 512, 771};
    static const size_t outputs[] = {1, 3, 4, 32, 50};

    (void)state;
    for (size_t R = 1; R < 14; R++) {
        for (size_t i = 0; i < 30; i++) {
            size_t K = inputs[i % 6], N = outputs[i / 6], ld = N + R % 2;
            float *x = random_values(R * K, 1), *w = random_values(N * K, 1);
            float *a = random_values(R * ld, 1);
            float *b = akin_calloc(R * ld, sizeof *b);

            memcpy(b, a, R * ld * sizeof *a);
            akin__multiply_few(a, ld, x, w, R, N, K);
            akin__multiply_few_plain(b, ld, x, w, R, N, K);
            near("product of few rows", a, b, R * ld, 3e-5f, 1e-5f);
            akin_free(x);
            akin_free(w);
            akin_free(a);
            akin_free(b);
        }
    }
}

static void extremes(void **state)
{
    float a[16] = {-1e30f, 1e30f, -1000, 1000, 0, -0.0f, -88, 88};
    float x[3] = {-1e30f, 5, -INFINITY};

    (void)state;
    akin__activate(AKIN__QUICK_GELU, a, 16);
    assert_true(fabsf(a[0]) < 1e-6f && a[1] == 1e30f);
    assert_true(fabsf(a[2]) < 1e-6f && a[3] == 1000);
    akin__softmax(x, 1, 3, 3, 1, false);
    assert_true(x[0] == 0 && x[1] == 1 && x[2] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layernorm),   cmocka_unit_test(softmax),
        cmocka_unit_test(activations), cmocka_unit_test(activations_dense),
        cmocka_unit_test(few_rows),    cmocka_unit_test(extremes),
    };

    random_state = SEED;
    printf("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
