/* What the C clients of the bench share: what is asked for, the keys and values of all workloads, and the line that tells what
 * came of it. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VALUE = 128, LARGE = 1 << 20, LARGE_KEYS = 4, MANY = 1000, REVISIONS = 64, TASKS = 8, INCREMENTS = 250, WINDOW = 256 };

#define COUNTER "bench.counter"
#define HISTORY "bench.h"

typedef struct {
    const char *workload;
    const char *url;
    int keys;
    double seconds;
} plan;

/* `WORKLOAD name=value ...` */
plan plan_read(int argc, char **argv);

/* Key number n of `bench` and `puts`; in `bench` its revision is n + 1. */
const char *key_of(int number);
/* 128 bytes that begin with a number. */
const char *value_of(int number);
/* 1 MiB that begins with a number. */
const char *large_of(int number);
const char *large_key_of(int number);

/* Seconds. */
double now(void);

/* Begins to count time. */
void meter_start(void);
/* So many operations were done since: tells the numbers. */
void meter_stop(uint64_t ops);
/* One wait of one operation, for the percentiles that `meter_stop` tells. */
void meter_wait(double seconds);
/* Tells when the first get was answered. */
void meter_first(void);
/* Tells the runner that the other process may begin. */
void meter_ready(void);

/* A fast wrong answer is a failure: ends the program. */
void check(bool is_right, const char *what);

/* Writes follow each other without a gap, in whatever order they were answered. Not to be used by two threads at once. */
typedef struct {
    uint64_t lowest, highest, count;
} revisions;
void revisions_add(revisions *seen, uint64_t revision);
void revisions_check(const revisions *seen);

/* Adds up what a watch of all keys gives. */
typedef struct {
    uint64_t count, revisions, bytes;
} snapshot;
void snapshot_add(snapshot *seen, uint64_t revision, size_t key, size_t value);
void snapshot_check(const snapshot *seen, int keys);

/* What each client brings: natskv.c and nats_c.c. Whatever fails ends the program. */

void client_open(const char *url, const char *bucket);
void client_close(void);
uint64_t client_put(const char *key, const char *value, size_t size);
/* Copies at most `room` bytes of the value, and tells its size and revision. */
size_t client_get(const char *key, char *value, size_t room, uint64_t *revision);
/* Whether nobody else was faster. Any thread. */
bool client_update(const char *key, const char *value, size_t size, uint64_t revision);
/* W3 and W4 with `WINDOW` in flight: key and value are numbered on from `number`; gives how many were done until `until`. Puts
 * are told to `seen`. */
uint64_t client_pipeline(bool is_put, int keys, uint64_t number, double until, revisions *seen);
/* W5, up to the end of the initial values. */
void client_snapshot(snapshot *seen);
/* W6: starts to count at the first of so many. */
void client_live(int keys);
/* W7k: how many, and whether all are `key_of`s. */
void client_keys(int keys);
/* W7h: one call. */
void client_history(void);
/* W10 and W10p: the first `MANY` keys by the fastest public means. */
void client_get_many(void);
void client_put_many(revisions *seen);

#endif
