/* One step of the network, as sagemaker_models/schp/native/library.py lays it out. */
#ifndef KERNELS_H
#define KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum Kind { CONVOLUTION = 0, WINOGRAD = 1, POOL = 2, CELLS = 3, SPREAD = 4, DECIDE = 5 };

/* A map of floats that is enlarged, bilinear with corners aligned, to a result's size. */
typedef struct {
    const float *values;
    int32_t height, width;
} Map;

/* How the points of a line are mixed from three neighbours: [n] the first one, [n][3] their weights. */
typedef struct {
    const int32_t *first;
    const float *weights;
} Taps;

typedef struct {
    int32_t kind;
    int32_t height, width, channels;             /* of the input; channels are a multiple of 4, for Winograd of 32 */
    int32_t out_height, out_width, out_channels; /* channels are a multiple of 32 */
    int32_t kernel, stride, dilation;
    int32_t is_float; /* whether the result is floats instead of u8 */
    int32_t maps;     /* how many of `added` there are */
    float slope;
    int32_t unused;
    int64_t in_stride, out_stride; /* elements from pixel to pixel */
    const uint8_t *in;
    void *out;
    const int8_t *weights;     /* [out_channels/32][taps][channels/4][32][4] */
    const float *scale;        /* of a sum, by output channel; for Winograd [16][out_channels] */
    const float *bias;         /* by output channel */
    const float *zero;         /* what stands for 0 in the result, by output channel */
    const uint8_t *border;     /* what stands for 0 in the input: one pixel */
    const uint8_t *shortcut;   /* u8 of the result's size, or NULL */
    const float *shortcut_scale;
    const int32_t *start;      /* Winograd: what a sum begins with, [16][out_channels]; DECIDE: [out_width], see there */
    const int16_t *tap_factor; /* Winograd: by which a transformed value is multiplied, in units of 1/2048 */
    Map added[4];            /* for SPREAD, maps of cells with nine times the channels */
    Taps down, along;          /* DECIDE: of the points of a column and of a row */
} Conv;

/* Memory that a thread keeps from step to step. */
typedef struct {
    uint8_t *bytes;
    size_t size;
} Scratch;

/* Returns at least so many bytes, or NULL. */
void *grow(Scratch *scratch, size_t size);

/* Each does one unit of its step's work; units do not depend on one another. */
void convolve_row(const Conv *conv, int row, Scratch *scratch);
void winograd_rows(const Conv *conv, int unit, Scratch *scratch);
void pool_row(const Conv *conv, int row);
void average_row(const Conv *conv, int row, Scratch *scratch);
void spread_row(const Conv *conv, int row, Scratch *scratch);
/* DECIDE: labels of a row of points. `added[0]` holds 32 logits a pixel, of which those from `channels` on are never the
 * highest; `in` has for each 3x3 window of pixels the label that has the highest logit in all of them, or 255;
 * `start` has for each point of a row the first one behind it with another window. */
void decide_row(const Conv *conv, int row, Scratch *scratch);

int winograd_units(const Conv *conv);

/* Runs steps one after the other, each on all threads. Returns 0, or -1 if there is no memory. */
int run_steps(const Conv *steps, int count, int threads);

#endif
