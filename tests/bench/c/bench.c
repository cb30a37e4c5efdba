#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { KEY = 32, WAITS = 1 << 20 };

static double started, cpu;
static double *waits;
static size_t wait_count;

plan plan_read(int argc, char **argv)
{
    plan asked = {argc > 1 ? argv[1] : "", "", 100000, 1.0};
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "url=", 4) == 0)
            asked.url = argv[i] + 4;
        else if (strncmp(argv[i], "keys=", 5) == 0)
            asked.keys = atoi(argv[i] + 5);
        else if (strncmp(argv[i], "seconds=", 8) == 0)
            asked.seconds = atof(argv[i] + 8);
    }
    return asked;
}

/* All texts of one kind, each `size` bytes from the one before. */
static char *table(int count, size_t size, const char *form)
{
    char *all = malloc(count * size);
    for (int number = 0; number < count; number++) {
        char *text = all + number * size;
        memset(text, 'x', size);
        int length = snprintf(text, KEY, form, number);
        if (size != KEY)
            text[length] = 'x';
    }
    return all;
}

const char *key_of(int number)
{
    static char *all;
    if (all == NULL)
        all = table(100000, KEY, "bench.k%06d");
    return all + (size_t)number * KEY;
}

const char *value_of(int number)
{
    static char *all;
    if (all == NULL)
        all = table(MANY, VALUE, "%06d");
    return all + (size_t)number * VALUE;
}

const char *large_of(int number)
{
    static char *all;
    if (all == NULL)
        all = table(LARGE_KEYS, LARGE, "%06d");
    return all + (size_t)number * LARGE;
}

const char *large_key_of(int number)
{
    static char *all;
    if (all == NULL)
        all = table(LARGE_KEYS, KEY, "bench.large%d");
    return all + (size_t)number * KEY;
}

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_utime.tv_usec / 1e6 + usage.ru_stime.tv_sec + usage.ru_stime.tv_usec / 1e6;
}

/* The most memory that this process ever had; 0 where there is no /proc. */
static long peak_kb(void)
{
    char line[256];
    long peak = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "VmHWM: %ld", &peak) == 1)
            break;
    if (status != NULL)
        fclose(status);
    return peak;
}

void meter_start(void)
{
    wait_count = 0;
    cpu = cpu_seconds();
    started = now();
}

void meter_wait(double seconds)
{
    if (waits == NULL)
        waits = malloc(WAITS * sizeof *waits);
    if (wait_count < WAITS)
        waits[wait_count++] = seconds;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void meter_stop(uint64_t ops)
{
    double seconds = now() - started, used = cpu_seconds() - cpu;
    printf("result ops=%.0f seconds=%.9g cpu=%.9g peak_kb=%ld", (double)ops, seconds, used, peak_kb());
    if (wait_count > 0) {
        qsort(waits, wait_count, sizeof *waits, by_size);
        printf(" p50_us=%.6g p99_us=%.6g", waits[(wait_count - 1) * 50 / 100] * 1e6, waits[(wait_count - 1) * 99 / 100] * 1e6);
    }
    printf("\n");
    fflush(stdout);
}

void meter_first(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    printf("result at_us=%.0f peak_kb=%ld\n", time.tv_sec * 1e6 + time.tv_nsec / 1e3, peak_kb());
    fflush(stdout);
}

void meter_ready(void)
{
    printf("ready\n");
    fflush(stdout);
}

void check(bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "wrong: %s\n", what);
    exit(1);
}

void revisions_add(revisions *seen, uint64_t revision)
{
    if (seen->count == 0 || revision < seen->lowest)
        seen->lowest = revision;
    if (revision > seen->highest)
        seen->highest = revision;
    seen->count++;
}

void revisions_check(const revisions *seen)
{
    check(seen->count == seen->highest - seen->lowest + 1, "writes whose revisions have gaps");
}

void snapshot_add(snapshot *seen, uint64_t revision, size_t key, size_t value)
{
    seen->count++;
    seen->revisions += revision;
    seen->bytes += key + value;
}

void snapshot_check(const snapshot *seen, int keys)
{
    uint64_t count = (uint64_t)keys;
    check(seen->count == count, "how many keys came");
    check(seen->revisions == count * (count + 1) / 2, "the revisions");
    check(seen->bytes == count * (strlen("bench.k000000") + VALUE), "the sizes of keys and values");
}
