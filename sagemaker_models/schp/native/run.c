/* Runs the steps of a network on threads that meet after each. */
#include "kernels.h"

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

typedef struct {
    const Conv *steps;
    int count, threads;
    atomic_int *next, *arrived;
} Run;

static int units_of(const Conv *conv) { return conv->kind == WINOGRAD ? winograd_units(conv) : conv->out_height; }

static void do_unit(const Conv *conv, int unit, Scratch *scratch) {
    switch (conv->kind) {
        case CONVOLUTION: convolve_row(conv, unit, scratch); break;
        case WINOGRAD: winograd_rows(conv, unit, scratch); break;
        case POOL: pool_row(conv, unit); break;
        case CELLS: average_row(conv, unit, scratch); break;
        case SPREAD: spread_row(conv, unit, scratch); break;
        default: decide_row(conv, unit, scratch);
    }
}

static void *work(void *argument) {
    const Run *run = argument;
    Scratch scratch = {0};
    for (int step = 0; step < run->count; step++) {
        const Conv *conv = &run->steps[step];
        const int units = units_of(conv);
        for (int unit; (unit = atomic_fetch_add(&run->next[step], 1)) < units;) do_unit(conv, unit, &scratch);
        atomic_fetch_add(&run->arrived[step], 1);
        for (int turn = 0; atomic_load(&run->arrived[step]) < run->threads; turn++) {
            if (turn < 4000) _mm_pause();
            else sched_yield();
        }
    }
    free(scratch.bytes);
    return NULL;
}

int run_steps(const Conv *steps, int count, int threads) {
    atomic_int *counters = calloc(2 * (size_t)count, sizeof(*counters));
    pthread_t *others = calloc(threads, sizeof(*others));
    if (!counters || !others) return free(counters), free(others), -1;
    Run run = {steps, count, threads, counters, counters + count};
    int started = 1;
    while (started < threads && pthread_create(&others[started], NULL, work, &run) == 0) started++;
    if (started < threads) {
        /* The threads that did start wait for the missing ones: their part is done here, one after the other. */
        for (int step = 0; step < count; step++) atomic_fetch_add(&run.arrived[step], threads - started);
    }
    work(&run);
    for (int other = 1; other < started; other++) pthread_join(others[other], NULL);
    free(counters), free(others);
    return 0;
}
