/* One of the three in `cargo xtask demo`: writes into the bucket, and tells what it sees of the others.
 *
 * Prints one line per event, tab-separated, which xtask reads: `wrote KEY REVISION MICROSECONDS` (how long the put took)
 * and `saw KEY REVISION MICROSECONDS` (from the other's write to here). Ends with 0 when it saw all. */
#define _POSIX_C_SOURCE 200809L
#include <natskv.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ME "c"
#define PAUSE_US 300000
#define TURN_US 100000
#define LIMIT_US 30000000

/* Wall-clock time, which the three share. */
static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int fail(const natskv_error *error) {
    fprintf(stderr, "%s\n", error->message);
    return 1;
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* One key a round, its value the time of writing. */
static natskv_code write_round(natskv_kv *kv, int round, natskv_error *error) {
    char key[32], value[32];
    uint64_t revision = 0;
    int64_t started = now_us();
    snprintf(key, sizeof key, ME ".%d", round);
    snprintf(value, sizeof value, "%" PRId64, started);
    natskv_code code = natskv_put_string(kv, key, value, &revision, error);
    if (code == NATSKV_OK) {
        printf("wrote\t%s\t%" PRIu64 "\t%" PRId64 "\n", key, revision, now_us() - started);
        fflush(stdout);
    }
    return code;
}

/* Counts what is not our own, and prints it unless it only says that someone is there. */
static void take(const natskv_entry *entry, int *ready, int *seen) {
    const char *key = natskv_entry_key(entry);
    natskv_slice value = natskv_entry_value(entry);
    char written[32] = "";
    if (strncmp(key, ME ".", strlen(ME ".")) == 0) return;
    if (ends_with(key, ".ready")) {
        ++*ready;
        return;
    }
    ++*seen;
    if (value.len < sizeof written) memcpy(written, value.data, value.len);
    printf("saw\t%s\t%" PRIu64 "\t%" PRId64 "\n", key, natskv_entry_revision(entry), now_us() - (int64_t)atoll(written));
    fflush(stdout);
}

/* The three take turns, so that no one waits for another's CPU: `turn` tells when ours is. */
static int run(natskv_kv *kv, natskv_watcher *watcher, int rounds, int others, int turn, natskv_error *error) {
    int ready = 0, seen = 0, round = 0;
    int64_t next_write = INT64_MAX, until = now_us() + LIMIT_US;
    if (natskv_put_string(kv, ME ".ready", "", NULL, error) != NATSKV_OK) return fail(error);
    while (round < rounds || seen < rounds * others) {
        int64_t now = now_us();
        if (now > until) {
            fprintf(stderr, "saw %d of %d writes\n", seen, rounds * others);
            return 1;
        }
        if (ready == others && next_write == INT64_MAX) next_write = now + turn * TURN_US;
        if (round < rounds && now >= next_write) {
            if (write_round(kv, ++round, error) != NATSKV_OK) return fail(error);
            next_write = now + PAUSE_US;
        }
        int64_t wait_ms = round < rounds && next_write - now < 100000 ? (next_write - now + 999) / 1000 : 100;
        natskv_entry *entry = NULL;
        natskv_code code = natskv_watcher_next(watcher, wait_ms, &entry, error);
        if (code == NATSKV_OK) {
            take(entry, &ready, &seen);
            natskv_entry_free(entry);
        } else if (code != NATSKV_CAUGHT_UP && code != NATSKV_TIMEOUT) {
            return fail(error);
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    natskv_options options;
    natskv_config config;
    natskv_error error;
    natskv_client *client = NULL;
    natskv_kv *kv = NULL;
    natskv_watcher *watcher = NULL;
    int result, turn = 0, i;
    if (argc < 4) {
        fprintf(stderr, "usage: demo URL ROUNDS OTHER...\n");
        return 2;
    }
    for (i = 3; i < argc; i++) turn += strcmp(argv[i], ME) < 0;
    natskv_options_init(&options);
    options.url = argv[1];
    options.name = "demo c";
    natskv_config_init(&config);
    config.bucket = "demo";
    if (natskv_connect(&options, &client, &error) != NATSKV_OK || natskv_bucket_create(client, &config, &kv, &error) != NATSKV_OK ||
        natskv_watch(kv, NULL, 0, NULL, &watcher, &error) != NATSKV_OK) {
        result = fail(&error);
    } else {
        result = run(kv, watcher, atoi(argv[2]), argc - 3, turn, &error);
    }
    natskv_watcher_free(watcher);
    natskv_kv_free(kv);
    natskv_client_free(client);
    return result;
}
