/* What natskv and nats.c are asked for in the same words. */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static revisions written;
static char large_value[LARGE];

static void check_value(const char *key, const char *value, size_t size)
{
    uint64_t revision;
    check(client_get(key, large_value, sizeof large_value, &revision) == size && memcmp(large_value, value, size) == 0, key);
}

/* W1 and W2. */
static void one_by_one(const plan *asked, bool is_put)
{
    uint64_t number = 0, done = 0;
    char found[VALUE];
    for (int is_measured = 0; is_measured < 2; is_measured++) {
        memset(&written, 0, sizeof written);
        meter_start();
        double before = now(), until = before + (is_measured ? asked->seconds : asked->seconds / 5);
        for (done = 0; before < until; done++, number++) {
            int at = (int)(number % asked->keys);
            uint64_t revision = at + 1;
            if (is_put)
                revisions_add(&written, client_put(key_of(at), value_of(number % MANY), VALUE));
            else
                check(client_get(key_of(at), found, VALUE, &revision) == VALUE && revision == (uint64_t)at + 1, "an entry");
            double then = now();
            meter_wait(then - before);
            before = then;
        }
    }
    meter_stop(done);
    if (is_put) {
        revisions_check(&written);
        check_value(key_of((number - 1) % asked->keys), value_of((number - 1) % MANY), VALUE);
    } else {
        check_value(key_of(MANY - 1), value_of(MANY - 1), VALUE);
    }
}

/* W3 and W4. */
static void pipelined(const plan *asked, bool is_put)
{
    uint64_t number = 0, done = 0;
    for (int is_measured = 0; is_measured < 2; is_measured++) {
        number += done;
        memset(&written, 0, sizeof written);
        meter_start();
        double until = now() + (is_measured ? asked->seconds : asked->seconds / 5);
        done = client_pipeline(is_put, asked->keys, number, until, &written);
    }
    meter_stop(done);
    if (is_put) {
        revisions_check(&written);
        uint64_t last = number + done - 1;
        check_value(key_of(last % asked->keys), value_of(last % MANY), VALUE);
    }
}

/* Calls that do so many operations each, for as long as is asked, after a warm-up. */
static void repeated(const plan *asked, int ops, void (*call)(void))
{
    uint64_t calls = 0;
    for (int is_measured = 0; is_measured < 2; is_measured++) {
        meter_start();
        double until = now() + (is_measured ? asked->seconds : asked->seconds / 5);
        for (calls = 0; now() < until; calls++)
            call();
    }
    meter_stop(calls * ops);
    if (written.count > 0)
        revisions_check(&written);
}

static void large_put(void)
{
    int number = (int)(written.count % LARGE_KEYS);
    revisions_add(&written, client_put(large_key_of(number), large_of(number), LARGE));
}

static void large_get(void)
{
    static int number;
    uint64_t revision;
    check(client_get(large_key_of(number++ % LARGE_KEYS), NULL, 0, &revision) == LARGE, "a size");
}

static void put_many(void)
{
    client_put_many(&written);
}

/* W9. */
static void *count_up(void *user)
{
    for (int done = 0; done < INCREMENTS;) {
        char text[32] = "";
        uint64_t revision;
        client_get(COUNTER, text, sizeof text - 1, &revision);
        int length = snprintf(text, sizeof text, "%d", atoi(text) + 1);
        done += client_update(COUNTER, text, length, revision);
    }
    return user;
}

static void increments(void)
{
    pthread_t threads[TASKS];
    char wanted[32];
    meter_start();
    for (int i = 0; i < TASKS; i++)
        pthread_create(&threads[i], NULL, count_up, NULL);
    for (int i = 0; i < TASKS; i++)
        pthread_join(threads[i], NULL);
    meter_stop(TASKS * INCREMENTS);
    int length = snprintf(wanted, sizeof wanted, "%d", TASKS * INCREMENTS);
    check_value(COUNTER, wanted, length);
}

static void watch_all(const plan *asked)
{
    snapshot seen = {0, 0, 0};
    meter_start();
    client_snapshot(&seen);
    meter_stop(seen.count);
    snapshot_check(&seen, asked->keys);
}

static void one_get(void)
{
    char found[VALUE];
    uint64_t revision;
    size_t size = client_get("bench.k000000", found, VALUE, &revision);
    meter_first();
    check(size == VALUE && memcmp(found, value_of(0), VALUE) == 0, "the first key");
}

static void run(const plan *asked)
{
    const char *workload = asked->workload;
    if (strcmp(workload, "W1") == 0)
        one_by_one(asked, true);
    else if (strcmp(workload, "W2") == 0)
        one_by_one(asked, false);
    else if (strcmp(workload, "W3") == 0)
        pipelined(asked, true);
    else if (strcmp(workload, "W4") == 0)
        pipelined(asked, false);
    else if (strcmp(workload, "W5") == 0)
        watch_all(asked);
    else if (strcmp(workload, "W6") == 0)
        client_live(asked->keys);
    else if (strcmp(workload, "W7k") == 0)
        client_keys(asked->keys);
    else if (strcmp(workload, "W7h") == 0)
        repeated(asked, 1, client_history);
    else if (strcmp(workload, "W8p") == 0)
        repeated(asked, 1, large_put);
    else if (strcmp(workload, "W8g") == 0)
        repeated(asked, 1, large_get);
    else if (strcmp(workload, "W9") == 0)
        increments();
    else if (strcmp(workload, "W10") == 0)
        repeated(asked, MANY, client_get_many);
    else if (strcmp(workload, "W10p") == 0)
        repeated(asked, MANY, put_many);
    else if (strcmp(workload, "W11") == 0)
        one_get();
    else
        check(false, "no such workload");
    if (strncmp(workload, "W8", 2) == 0)
        check_value(large_key_of(1), large_of(1), LARGE);
    if (strcmp(workload, "W10p") == 0)
        check_value(key_of(MANY - 1), value_of(MANY - 1), VALUE);
}

int main(int argc, char **argv)
{
    static const char *const buckets[][2] = {
        {"W1", "puts"}, {"W3", "puts"}, {"W10p", "puts"}, {"W6", "live"}, {"W7h", "history"}, {"W8p", "large"}, {"W8g", "large"}, {"W9", "counter"},
    };
    plan asked = plan_read(argc, argv);
    const char *bucket = "bench";
    for (size_t i = 0; i < sizeof buckets / sizeof *buckets; i++)
        if (strcmp(asked.workload, buckets[i][0]) == 0)
            bucket = buckets[i][1];
    client_open(asked.url, bucket);
    run(&asked);
    client_close();
    return 0;
}
