/* Convolutions of 8-bit maps for processors with AVX-512 VNNI.
 *
 * Maps are u8, pixel by pixel (NHWC), channels in multiples of 32 (the picture: 4). A 3x3 convolution of stride 1 runs
 * as Winograd's F(2x2,3x3): 16 products for 4 results instead of 36 (Lavin and Gray 2016, section 4.1), the
 * transformed map rounded to 8 bits once more. All others multiply through a table of row addresses.
 */
#include "kernels.h"

#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 8, PANEL = 32, TAPS = 16, GROUP = 32, SUM = 5 };

/* A row of an enlarged map: its height is mixed already, its width is still the small map's and one more. */
typedef struct {
    float *values;
    int32_t *left; /* by column of the result: the pixel on its left */
    float *share;  /* and how far it is from that one */
} Line;

void *grow(Scratch *scratch, size_t size) {
    if (scratch->size < size) {
        free(scratch->bytes);
        scratch->bytes = aligned_alloc(64, (size + 63) / 64 * 64);
        scratch->size = scratch->bytes ? size : 0;
    }
    return scratch->bytes;
}

/* sums[m][:] = start + sum over taps and channels of rows[tap][m] times a panel of 32 output channels. */
static inline __attribute__((always_inline)) void multiply(
    const uint8_t *const *rows, int taps, int quads, const int8_t *weights, const int32_t *start, __m512i sums[ROWS][2]) {
    __m512i low[ROWS], high[ROWS];
    const __m512i begin_low = start ? _mm512_loadu_si512(start) : _mm512_setzero_si512();
    const __m512i begin_high = start ? _mm512_loadu_si512(start + 16) : _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int m = 0; m < ROWS; m++) low[m] = begin_low, high[m] = begin_high;
    for (int tap = 0; tap < taps; tap++, rows += ROWS) {
        const uint8_t *row0 = rows[0], *row1 = rows[1], *row2 = rows[2], *row3 = rows[3];
        const uint8_t *row4 = rows[4], *row5 = rows[5], *row6 = rows[6], *row7 = rows[7];
        for (int quad = 0; quad < quads; quad++, weights += 4 * PANEL) {
            const __m512i first = _mm512_loadu_si512(weights), second = _mm512_loadu_si512(weights + 64);
#define ROW(m)                                                                   \
    {                                                                            \
        const __m512i four = _mm512_set1_epi32(((const int32_t *)row##m)[quad]); \
        low[m] = _mm512_dpbusd_epi32(low[m], four, first);                       \
        high[m] = _mm512_dpbusd_epi32(high[m], four, second);                    \
    }
            ROW(0) ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7)
#undef ROW
        }
    }
#pragma GCC unroll 8
    for (int m = 0; m < ROWS; m++) sums[m][0] = low[m], sums[m][1] = high[m];
}

static size_t bytes_of_line(const Map *map, const Conv *conv) {
    const size_t values = sizeof(float) * (map->width + 1) * conv->out_channels;
    return values + (sizeof(int32_t) + sizeof(float)) * conv->out_width;
}

/* Where a point of an enlarged line lies on the small line: the pixel before it and the distance from that. */
static float place_on(int point, int points, int pixels, int32_t *before) {
    const float at = points > 1 ? (float)point * (pixels - 1) / (points - 1) : 0;
    *before = (int32_t)at < pixels - 1 ? (int32_t)at : pixels - 1;
    return at - *before;
}

static Line mix_line(const Map *map, const Conv *conv, int row, uint8_t *memory) {
    const size_t channels = conv->out_channels, length = map->width * channels;
    Line line = {(float *)memory, NULL, NULL};
    line.left = (int32_t *)(line.values + length + channels), line.share = (float *)(line.left + conv->out_width);
    int32_t top;
    const float down = place_on(row, conv->out_height, map->height, &top);
    const float *upper = map->values + top * length, *lower = top + 1 < map->height ? upper + length : upper;
    for (size_t i = 0; i < length; i++) line.values[i] = upper[i] + down * (lower[i] - upper[i]);
    memcpy(line.values + length, line.values + length - channels, sizeof(float) * channels);
    for (int x = 0; x < conv->out_width; x++) line.share[x] = place_on(x, conv->out_width, map->width, &line.left[x]);
    return line;
}

/* Adds shortcut and maps to 32 channels of one pixel, rectifies, and stores them. Without lines, maps have its size. */
static inline __attribute__((always_inline)) void finish(
    const Conv *conv, int row, int column, int channel, const Line *lines, __m512 value[2]) {
    const size_t pixel = (size_t)row * conv->out_width + column;
    if (conv->shortcut) {
        const uint8_t *stored = conv->shortcut + pixel * conv->out_channels + channel;
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
            const __m512i whole = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(stored + 16 * half)));
            const __m512 scale = _mm512_loadu_ps(conv->shortcut_scale + channel + 16 * half);
            value[half] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), scale, value[half]);
        }
    }
    for (int map = 0; map < conv->maps; map++)
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
            const int c = channel + 16 * half;
            if (!lines) {
                const __m512 same = _mm512_loadu_ps(conv->added[map].values + pixel * conv->out_channels + c);
                value[half] = _mm512_add_ps(value[half], same);
                continue;
            }
            const float *left = lines[map].values + (size_t)lines[map].left[column] * conv->out_channels + c;
            const __m512 first = _mm512_loadu_ps(left), second = _mm512_loadu_ps(left + conv->out_channels);
            const __m512 share = _mm512_set1_ps(lines[map].share[column]);
            value[half] = _mm512_add_ps(value[half], _mm512_fmadd_ps(share, _mm512_sub_ps(second, first), first));
        }
    if (conv->is_float) {
        float *out = (float *)conv->out + pixel * conv->out_stride + channel;
        _mm512_storeu_ps(out, value[0]), _mm512_storeu_ps(out + 16, value[1]);
        return;
    }
    if (conv->slope != 0) {
        /* Behind a rectifier, 0 is stored as 0. */
        const __m512 slope = _mm512_set1_ps(conv->slope);
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++)
            value[half] = _mm512_add_ps(_mm512_max_ps(value[half], _mm512_mul_ps(value[half], slope)),
                                        _mm512_loadu_ps(conv->zero + channel + 16 * half));
    }
    /* Saturating twice, from 32 bits to 16 with a sign and from there to 8 without one, is the rectifier. */
    const __m512i words = _mm512_packs_epi32(_mm512_cvtps_epi32(value[0]), _mm512_cvtps_epi32(value[1]));
    const __m256i bytes = _mm512_cvtusepi16_epi8(_mm512_max_epi16(
        _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), words), _mm512_setzero_si512()));
    _mm256_storeu_si256((__m256i *)((uint8_t *)conv->out + pixel * conv->out_stride + channel), bytes);
}

void convolve_row(const Conv *conv, int row, Scratch *scratch) {
    const int taps = conv->kernel * conv->kernel, blocks = (conv->out_width + ROWS - 1) / ROWS;
    const int padding = conv->dilation * (conv->kernel / 2), quads = conv->channels / 4;
    const size_t table_bytes = sizeof(const uint8_t *) * taps * blocks * ROWS;
    size_t bytes = table_bytes;
    for (int map = 0; map < conv->maps; map++) bytes += bytes_of_line(&conv->added[map], conv);
    uint8_t *memory = grow(scratch, bytes);
    if (!memory) return;
    const uint8_t **table = (const uint8_t **)memory;
    memory += table_bytes;
    Line lines[2];
    for (int map = 0; map < conv->maps; map++, memory += bytes_of_line(&conv->added[map - 1], conv))
        lines[map] = mix_line(&conv->added[map], conv, row, memory);
    for (int block = 0; block < blocks; block++)
        for (int tap = 0; tap < taps; tap++)
            for (int m = 0; m < ROWS; m++) {
                const int y = row * conv->stride - padding + conv->dilation * (tap / conv->kernel);
                const int x = (block * ROWS + m) * conv->stride - padding + conv->dilation * (tap % conv->kernel);
                const int inside = y >= 0 && y < conv->height && x >= 0 && x < conv->width;
                table[(block * taps + tap) * ROWS + m] =
                    inside ? conv->in + ((size_t)y * conv->width + x) * conv->in_stride : conv->border;
            }
    for (int channel = 0; channel < conv->out_channels; channel += PANEL) {
        const int8_t *weights = conv->weights + (size_t)channel * taps * conv->channels;
        const __m512 scale[2] = {_mm512_loadu_ps(conv->scale + channel), _mm512_loadu_ps(conv->scale + channel + 16)};
        const __m512 bias[2] = {_mm512_loadu_ps(conv->bias + channel), _mm512_loadu_ps(conv->bias + channel + 16)};
        for (int block = 0; block < blocks; block++) {
            __m512i sums[ROWS][2];
            multiply(table + block * taps * ROWS, taps, quads, weights, NULL, sums);
            for (int m = 0; m < ROWS && block * ROWS + m < conv->out_width; m++) {
                __m512 value[2];
                #pragma GCC unroll 2
                for (int half = 0; half < 2; half++)
                    value[half] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[m][half]), scale[half], bias[half]);
                finish(conv, row, block * ROWS + m, channel, lines, value);
            }
        }
    }
}

/* A map with dilation d is d*d maps without, one for each remainder of row and column. */
static int tiles_along(int size, int dilation) {
    int tiles = 0;
    for (int phase = 0; phase < dilation; phase++) tiles += ((size - phase + dilation - 1) / dilation + 1) / 2;
    return tiles;
}

/* Returns where a tile begins. */
static int place_of(int tile, int size, int dilation) {
    for (int phase = 0;; phase++) {
        const int tiles = ((size - phase + dilation - 1) / dilation + 1) / 2;
        if (tile < tiles) return phase + 2 * dilation * tile;
        tile -= tiles;
    }
}

static int rows_together(const Conv *conv) {
    const int along = tiles_along(conv->out_width, conv->dilation);
    return along < GROUP ? GROUP / along : 1;
}

/* Transforms 4x4 pixels: B'dB, times each tap's factor, rounded, plus 128; but for the sum, which is not negative. */
static void transform(const Conv *conv, int row, int column, uint8_t *made, size_t step) {
    const __m256i half = _mm256_set1_epi8((char)0x80);
    const uint8_t *pixels[TAPS];
    for (int tap = 0; tap < TAPS; tap++) {
        const int y = row + conv->dilation * (tap / 4 - 1), x = column + conv->dilation * (tap % 4 - 1);
        const int inside = y >= 0 && y < conv->height && x >= 0 && x < conv->width;
        pixels[tap] = inside ? conv->in + ((size_t)y * conv->width + x) * conv->in_stride : conv->border;
    }
    for (int c = 0; c < conv->channels; c += 32) {
        __m512i d[4][4], t[4][4];
#pragma GCC unroll 16
        for (int tap = 0; tap < TAPS; tap++)
            d[tap / 4][tap % 4] = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(pixels[tap] + c)));
#pragma GCC unroll 4
        for (int x = 0; x < 4; x++) {
            t[0][x] = _mm512_sub_epi16(d[0][x], d[2][x]), t[1][x] = _mm512_add_epi16(d[1][x], d[2][x]);
            t[2][x] = _mm512_sub_epi16(d[2][x], d[1][x]), t[3][x] = _mm512_sub_epi16(d[1][x], d[3][x]);
        }
#pragma GCC unroll 4
        for (int y = 0; y < 4; y++) {
            const __m512i v[4] = {_mm512_sub_epi16(t[y][0], t[y][2]), _mm512_add_epi16(t[y][1], t[y][2]),
                                  _mm512_sub_epi16(t[y][2], t[y][1]), _mm512_sub_epi16(t[y][1], t[y][3])};
#pragma GCC unroll 4
            for (int x = 0; x < 4; x++) {
                const __m512i factor = _mm512_set1_epi16(conv->tap_factor[4 * y + x]);
                const __m512i scaled = _mm512_mulhrs_epi16(_mm512_slli_epi16(v[x], 4), factor);
                const __m256i bytes = 4 * y + x == SUM ? _mm512_cvtusepi16_epi8(scaled)
                                                       : _mm256_xor_si256(_mm512_cvtsepi16_epi8(scaled), half);
                _mm256_storeu_si256((__m256i *)(made + (4 * y + x) * step + c), bytes);
            }
        }
    }
}

void winograd_rows(const Conv *conv, int unit, Scratch *scratch) {
    const int d = conv->dilation, along = tiles_along(conv->out_width, d), down = tiles_along(conv->out_height, d);
    const int together = rows_together(conv), first = unit * together;
    const int tiles = along * (first + together > down ? down - first : together);
    const int blocks = (tiles + ROWS - 1) / ROWS, channels = conv->channels;
    const size_t step = (size_t)blocks * ROWS * channels;
    uint8_t *maps = grow(scratch, TAPS * step);
    if (!maps) return;
    for (int tile = 0; tile < tiles; tile++)
        transform(conv, place_of(first + tile / along, conv->out_height, d), place_of(tile % along, conv->out_width, d),
                  maps + (size_t)tile * channels, step);
    for (int channel = 0; channel < conv->out_channels; channel += PANEL)
        for (int block = 0; block < blocks; block++) {
            __m512i sums[TAPS][ROWS][2];
            for (int tap = 0; tap < TAPS; tap++) {
                const uint8_t *rows[ROWS];
                for (int m = 0; m < ROWS; m++) rows[m] = maps + tap * step + (size_t)(block * ROWS + m) * channels;
                const int8_t *weights = conv->weights + ((size_t)channel * TAPS + (size_t)tap * PANEL) * channels;
                multiply(rows, 1, channels / 4, weights, conv->start + tap * conv->out_channels + channel, sums[tap]);
            }
            for (int m = 0; m < ROWS && block * ROWS + m < tiles; m++) {
                const int tile = block * ROWS + m;
                const int row = place_of(first + tile / along, conv->out_height, d);
                const int column = place_of(tile % along, conv->out_width, d);
                __m512 made[2][2][2];
#pragma GCC unroll 2
                for (int half = 0; half < 2; half++) {
                    __m512 part[2][4];
#pragma GCC unroll 4
                    for (int x = 0; x < 4; x++) {
                        __m512 p[4];
#pragma GCC unroll 4
                        for (int y = 0; y < 4; y++)
                            p[y] = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[4 * y + x][m][half]),
                                                 _mm512_loadu_ps(conv->scale + (size_t)(4 * y + x) * conv->out_channels + channel + 16 * half));
                        part[0][x] = _mm512_add_ps(_mm512_add_ps(p[0], p[1]), p[2]);
                        part[1][x] = _mm512_sub_ps(_mm512_sub_ps(p[1], p[2]), p[3]);
                    }
                    const __m512 bias = _mm512_loadu_ps(conv->bias + channel + 16 * half);
#pragma GCC unroll 2
                    for (int y = 0; y < 2; y++) {
                        const __m512 middle = _mm512_add_ps(part[y][1], bias), last = _mm512_sub_ps(bias, part[y][2]);
                        made[y][0][half] = _mm512_add_ps(_mm512_add_ps(part[y][0], middle), part[y][2]);
                        made[y][1][half] = _mm512_add_ps(_mm512_sub_ps(part[y][1], part[y][3]), last);
                    }
                }
                for (int y = 0; y < 2; y++)
                    for (int x = 0; x < 2; x++)
                        if (row + d * y < conv->out_height && column + d * x < conv->out_width)
                            finish(conv, row + d * y, column + d * x, channel, NULL, made[y][x]);
            }
        }
}

int winograd_units(const Conv *conv) {
    const int together = rows_together(conv);
    return (tiles_along(conv->out_height, conv->dilation) + together - 1) / together;
}
