/* What is no convolution: maxima, means over cells, and the spreading of cells. */
#include "kernels.h"

#include <immintrin.h>
#include <string.h>

void pool_row(const Conv *conv, int row) {
    for (int column = 0; column < conv->out_width; column++)
        for (int c = 0; c < conv->channels; c += 32) {
            __m256i most = _mm256_setzero_si256();
            for (int tap = 0; tap < 9; tap++) {
                const int y = 2 * row - 1 + tap / 3, x = 2 * column - 1 + tap % 3;
                if (y < 0 || y >= conv->height || x < 0 || x >= conv->width) continue;
                const uint8_t *pixel = conv->in + ((size_t)y * conv->width + x) * conv->in_stride + c;
                most = _mm256_max_epu8(most, _mm256_loadu_si256((const __m256i *)pixel));
            }
            uint8_t *out = (uint8_t *)conv->out + ((size_t)row * conv->out_width + column) * conv->out_stride + c;
            _mm256_storeu_si256((__m256i *)out, most);
        }
}

/* Means over the cells of one row of cells; cell i of n covers [floor(i*size/n), ceil((i+1)*size/n)). */
void average_row(const Conv *conv, int row, Scratch *scratch) {
    const int n = conv->out_width, channels = conv->channels;
    const int top = row * conv->height / n, bottom = ((row + 1) * conv->height + n - 1) / n;
    int32_t *sums = grow(scratch, sizeof(*sums) * channels);
    if (!sums) return;
    for (int cell = 0; cell < n; cell++) {
        const int left = cell * conv->width / n, right = ((cell + 1) * conv->width + n - 1) / n;
        memset(sums, 0, sizeof(*sums) * channels);
        for (int y = top; y < bottom; y++)
            for (int x = left; x < right; x++) {
                const uint8_t *pixel = conv->in + ((size_t)y * conv->width + x) * conv->in_stride;
                for (int c = 0; c < channels; c++) sums[c] += pixel[c];
            }
        uint8_t *out = (uint8_t *)conv->out + ((size_t)row * n + cell) * conv->out_stride;
        const float share = 1.0f / ((bottom - top) * (right - left));
        for (int c = 0; c < channels; c++) out[c] = (uint8_t)(sums[c] * share * conv->scale[c] + 0.5f);
    }
}

/* The two cells between which a pixel lies, and how far it is from the first; 0 if the pixel lies outside. */
static int cells_of(int pixel, int pixels, int cells, int cell[2], float weight[2]) {
    if (pixel < 0 || pixel >= pixels) return 0;
    const float at = pixels > 1 ? (float)pixel * (cells - 1) / (pixels - 1) : 0;
    cell[0] = (int)at < cells - 1 ? (int)at : cells - 1;
    cell[1] = cell[0] + 1 < cells ? cell[0] + 1 : cell[0];
    weight[1] = at - cell[0], weight[0] = 1 - weight[1];
    return 1;
}

static void add_times(float *sum, const float *values, float weight, int count) {
    for (int c = 0; c < count; c++) sum[c] += weight * values[c];
}

/* One row of the sum over maps and taps of the taps' results, enlarged and moved by the tap's place. */
void spread_row(const Conv *conv, int row, Scratch *scratch) {
    const int channels = conv->out_channels;
    float *out = (float *)conv->out + (size_t)row * conv->out_width * conv->out_stride;
    memset(out, 0, sizeof(*out) * conv->out_width * conv->out_stride);
    for (int map = 0; map < conv->maps; map++) {
        const int cells = conv->added[map].height;
        /* [cell of the row][tap of the row][channel], taps of a column already added up */
        float *line = grow(scratch, sizeof(*line) * cells * 3 * channels);
        if (!line) return;
        memset(line, 0, sizeof(*line) * cells * 3 * channels);
        int cell[2];
        float weight[2];
        for (int tap = 0; tap < 3; tap++)
            if (cells_of(row + tap - 1, conv->out_height, cells, cell, weight))
                for (int side = 0; side < 2; side++)
                    for (int x = 0; x < cells && weight[side] != 0; x++) {
                        const float *taps = conv->added[map].values + ((size_t)cell[side] * cells + x) * 9 * channels;
                        add_times(line + (size_t)x * 3 * channels, taps + (size_t)tap * 3 * channels, weight[side], 3 * channels);
                    }
        for (int x = 0; x < conv->out_width; x++)
            for (int tap = 0; tap < 3; tap++)
                if (cells_of(x + tap - 1, conv->out_width, cells, cell, weight))
                    for (int side = 0; side < 2; side++)
                        if (weight[side] != 0)
                            add_times(out + x * conv->out_stride, line + ((size_t)cell[side] * 3 + tap) * channels, weight[side], channels);
    }
}

void decide_row(const Conv *conv, int row, Scratch *scratch) {
    const int width = conv->added[0].width, windows = width - 2;
    uint8_t *out = (uint8_t *)conv->out + (size_t)row * conv->out_width;
    const uint8_t *sure = conv->in + (size_t)conv->down.first[row] * windows;
    const float *values = conv->added[0].values + (size_t)conv->down.first[row] * width * 32;
    float *line = grow(scratch, sizeof(*line) * width * 32);
    if (!line) return;
    const __m512 share[3] = {_mm512_set1_ps(conv->down.weights[3 * row]), _mm512_set1_ps(conv->down.weights[3 * row + 1]),
                             _mm512_set1_ps(conv->down.weights[3 * row + 2])};
    for (int i = 0; i < width * 32; i += 16) {
        __m512 sum = _mm512_mul_ps(share[0], _mm512_loadu_ps(values + i));
        sum = _mm512_fmadd_ps(share[1], _mm512_loadu_ps(values + width * 32 + i), sum);
        _mm512_storeu_ps(line + i, _mm512_fmadd_ps(share[2], _mm512_loadu_ps(values + 2 * width * 32 + i), sum));
    }
    for (int x = 0; x < conv->out_width; x++) {
        const int first = conv->along.first[x];
        if (sure[first] != 255) {
            /* `start` says where the next window begins. */
            memset(out + x, sure[first], conv->start[x] - x);
            x = conv->start[x] - 1;
            continue;
        }
        const float *weights = conv->along.weights + 3 * x, *pixels = line + first * 32;
        __m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps();
        for (int tap = 0; tap < 3; tap++) {
            const __m512 weight = _mm512_set1_ps(weights[tap]);
            low = _mm512_fmadd_ps(weight, _mm512_loadu_ps(pixels + 32 * tap), low);
            high = _mm512_fmadd_ps(weight, _mm512_loadu_ps(pixels + 32 * tap + 16), high);
        }
        const __m512 most = _mm512_set1_ps(_mm512_reduce_max_ps(_mm512_max_ps(low, high)));
        const uint32_t where = _mm512_cmpeq_ps_mask(low, most) | (uint32_t)_mm512_cmpeq_ps_mask(high, most) << 16;
        out[x] = (uint8_t)__builtin_ctz(where | 1u << 31);
    }
}
