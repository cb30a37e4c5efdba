/* Watches that are read with natskv_watcher_next, where it gets hard. */
#include "harness.h"

#include <stdlib.h>

static natskv_error err;

/* ── the server dies under a live watch */

enum { RESTART_KEYS = 4000 };

struct writer {
    natskv_kv *kv;
    struct counter stop, written;
};

/* Writes distinct keys, each until the server has it. */
static void *write_keys(void *user)
{
    struct writer *writer = user;
    char key[32];
    for (int i = 0; i < RESTART_KEYS && counter_get(&writer->stop) == 0; i++) {
        snprintf(key, sizeof key, "d.%d", i);
        while (natskv_put_string(writer->kv, key, key, NULL, NULL) != NATSKV_OK)
            nap_ms(2);
        counter_add(&writer->written, 1);
    }
    return NULL;
}

/* The next entry; its revision is above the one before. */
static natskv_entry *next_entry(natskv_watcher *watcher, uint64_t *newest)
{
    natskv_entry *entry;
    CHECK_OK(natskv_watcher_next(watcher, 30000, &entry, &err));
    CHECK(natskv_entry_revision(entry) > *newest);
    *newest = natskv_entry_revision(entry);
    return entry;
}

static void a_killed_server_under_a_live_watch(void)
{
    struct server server;
    struct writer writer = {NULL, COUNTER, COUNTER};
    char *is_seen = calloc(RESTART_KEYS, 1);
    pthread_t thread;
    uint64_t newest = 0, revision;
    natskv_entry *entry;
    natskv_watcher *watcher;
    server_start(&server);
    natskv_client *watching = client_of(&server), *writing = client_of(&server);
    natskv_kv *kv = fresh_bucket(watching, "restart", ",\"storage\":\"file\"");
    CHECK_OK(natskv_bucket_bind(writing, "restart", &writer.kv, &err));
    CHECK_OK(natskv_watch(kv, NULL, 0, NULL, &watcher, &err));
    CHECK_CODE(natskv_watcher_next(watcher, 5000, &entry, &err), NATSKV_CAUGHT_UP);
    pthread_create(&thread, NULL, write_keys, &writer);
    for (int i = 0; i < 100; i++) {
        entry = next_entry(watcher, &newest);
        is_seen[atoi(natskv_entry_key(entry) + 2)] = 1;
        natskv_entry_free(entry);
    }
    server_kill(&server);
    server_restart(&server);
    double back = seconds();
    CHECK(counter_await(&writer.written, counter_get(&writer.written) + 1)); /* so something new is there to be seen */
    /* what was on its way before the kill comes first; the rest over the new connection */
    natskv_statistics stats = {0};
    while (stats.reconnects == 0) {
        entry = next_entry(watcher, &newest);
        is_seen[atoi(natskv_entry_key(entry) + 2)] = 1;
        natskv_entry_free(entry);
        natskv_stats(watching, &stats);
    }
    printf("# first event %.0f ms after the server was back\n", (seconds() - back) * 1e3);
    for (int i = 0; i < 100 && counter_get(&writer.written) < RESTART_KEYS; i++) {
        entry = next_entry(watcher, &newest);
        is_seen[atoi(natskv_entry_key(entry) + 2)] = 1;
        natskv_entry_free(entry);
    }
    counter_add(&writer.stop, 1);
    pthread_join(thread, NULL);
    CHECK_OK(natskv_put_string(writer.kv, "d.0", "last", &revision, &err));
    while (newest < revision) {
        entry = next_entry(watcher, &newest);
        is_seen[atoi(natskv_entry_key(entry) + 2)] = 1;
        natskv_entry_free(entry);
    }
    natskv_keys_list *keys;
    CHECK_OK(natskv_keys(kv, NULL, 0, &keys, &err));
    CHECK(natskv_keys_list_count(keys) >= 200);
    for (size_t i = 0; i < natskv_keys_list_count(keys); i++)
        if (!is_seen[atoi(natskv_keys_list_at(keys, i) + 2)])
            FAIL("%s is in the bucket, but the watch never gave it", natskv_keys_list_at(keys, i));
    natskv_keys_list_free(keys);
    natskv_watcher_free(watcher);
    natskv_kv_free(writer.kv);
    natskv_kv_free(kv);
    natskv_client_free(watching);
    natskv_client_free(writing);
    server_end(&server);
    free(is_seen);
}

/* ── many keys */

static void a_hundred_thousand_keys(void)
{
    int count = is_small ? 2000 : 100000;
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "many", "");
    char *is_seen = calloc((size_t)count, 1);
    double start = seconds();
    fill(kv, count, 128);
    double filled = seconds();
    natskv_keys_list *keys;
    CHECK_OK(natskv_keys(kv, NULL, 0, &keys, &err));
    double listed = seconds();
    CHECK_EQ(natskv_keys_list_count(keys), count);
    for (int i = 0; i < count; i++)
        is_seen[atoi(natskv_keys_list_at(keys, (size_t)i) + 2)]++;
    natskv_keys_list_free(keys);
    for (int i = 0; i < count; i++)
        CHECK_EQ(is_seen[i], 1);

    natskv_watcher *watcher;
    natskv_entry *entry;
    uint64_t newest = 0;
    int entries = 0;
    natskv_code code;
    double watching = seconds();
    CHECK_OK(natskv_watch(kv, NULL, 0, NULL, &watcher, &err));
    while ((code = natskv_watcher_next(watcher, 10000, &entry, &err)) == NATSKV_OK) {
        CHECK(natskv_entry_revision(entry) > newest);
        newest = natskv_entry_revision(entry);
        CHECK_EQ(natskv_entry_value(entry).len, 128);
        is_seen[atoi(natskv_entry_key(entry) + 2)]++;
        natskv_entry_free(entry);
        entries++;
    }
    CHECK_CODE(code, NATSKV_CAUGHT_UP);
    double caught_up = seconds();
    CHECK_EQ(entries, count);
    for (int i = 0; i < count; i++)
        CHECK_EQ(is_seen[i], 2);
    printf("# %d keys: put %.0f/s, listed %.0f/s, watched %.0f/s, resident %ld KiB\n", count, count / (filled - start),
           count / (listed - filled), count / (caught_up - watching), memory_kib());
    natskv_watcher_free(watcher);
    natskv_kv_free(kv);
    natskv_client_free(client);
    free(is_seen);
}

/* ── a reader that does not read */

static uint64_t bytes_in(natskv_client *client)
{
    natskv_statistics stats;
    CHECK_EQ(natskv_stats(client, &stats), NATSKV_OK);
    return stats.in_bytes;
}

static void a_slow_reader_costs_bounded_memory(void)
{
    enum { SIZE = 32 * 1024 };
    int count = is_small ? 200 : 3000; /* 96 MiB */
    natskv_client *filling = client_of(&shared), *client = client_of(&shared);
    natskv_kv *full = fresh_bucket(filling, "slow", ",\"storage\":\"file\""), *kv;
    CHECK_OK(natskv_bucket_bind(client, "slow", &kv, &err));
    fill(full, count, SIZE);
    long before = memory_kib();
    natskv_watcher *watcher;
    natskv_entry *entry;
    CHECK_OK(natskv_watch(kv, NULL, 0, NULL, &watcher, &err));
    /* until the server has nothing more to say: the same number of bytes over ten round trips */
    uint64_t was = 0;
    for (int still = 0; still < 10; nap_ms(10)) {
        CHECK_OK(natskv_flush(client, 0, &err));
        uint64_t is = bytes_in(client);
        still = is - was < 64 ? still + 1 : 0; /* PONGs and heartbeats do not count */
        was = is;
    }
    long unread = memory_kib() - before;
    CHECK(was < 8u << 20); /* flow control holds the server back */
    CHECK(is_small || unread < 24 * 1024);
    CHECK_OK(natskv_put_string(kv, "other", "work goes on", NULL, &err));
    uint64_t newest = 0;
    natskv_code code;
    int entries = 0;
    while ((code = natskv_watcher_next(watcher, 10000, &entry, &err)) == NATSKV_OK) {
        CHECK(natskv_entry_revision(entry) > newest);
        newest = natskv_entry_revision(entry);
        natskv_entry_free(entry);
        entries++;
    }
    CHECK_CODE(code, NATSKV_CAUGHT_UP);
    CHECK(entries >= count);
    long after = memory_kib() - before;
    printf("# %d MiB to read: %ld KiB held unread, %ld KiB at the end\n", count * (SIZE / 1024) / 1024, unread, after);
    CHECK(is_small || after < 48 * 1024);
    natskv_watcher_free(watcher);
    natskv_bucket_delete(client, "slow", NULL);
    natskv_kv_free(kv);
    natskv_kv_free(full);
    natskv_client_free(client);
    natskv_client_free(filling);
}

/* ── others */

static void a_bucket_made_anew_under_a_watch(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "anew", ""), *again;
    natskv_options options;
    natskv_options_init(&options);
    options.watch_heartbeat_ms = 200; /* what tells that the consumer is gone */
    natskv_client *watching = client_with(&options, &shared);
    natskv_watcher *watcher;
    natskv_entry *entry;
    CHECK_OK(natskv_put_string(kv, "a", "old", NULL, &err));
    CHECK_OK(natskv_bucket_open(watching, "anew", &again, &err));
    CHECK_OK(natskv_watch(again, NULL, 0, NULL, &watcher, &err));
    CHECK_OK(natskv_watcher_next(watcher, 5000, &entry, &err));
    natskv_entry_free(entry);
    CHECK_CODE(natskv_watcher_next(watcher, 5000, &entry, &err), NATSKV_CAUGHT_UP);
    natskv_kv_free(kv);
    kv = fresh_bucket(client, "anew", "");
    CHECK_OK(natskv_put_string(kv, "b", "new", NULL, &err));
    CHECK_CODE(natskv_watcher_next(watcher, 10000, &entry, &err), NATSKV_RESET);
    CHECK_OK(natskv_watcher_next(watcher, 10000, &entry, &err));
    CHECK_TEXT(natskv_entry_key(entry), "b");
    natskv_entry_free(entry);
    CHECK_CODE(natskv_watcher_next(watcher, 10000, &entry, &err), NATSKV_CAUGHT_UP);
    natskv_watcher_free(watcher);
    natskv_kv_free(again);
    natskv_kv_free(kv);
    natskv_client_free(watching);
    natskv_client_free(client);
}

static void a_watch_waits_as_long_as_it_is_told(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "waits", "");
    natskv_watcher *watcher;
    natskv_entry *entry = NULL;
    CHECK_OK(natskv_watch(kv, NULL, 0, NULL, &watcher, &err));
    CHECK_CODE(natskv_watcher_next(watcher, 5000, &entry, &err), NATSKV_CAUGHT_UP);
    double start = seconds();
    CHECK_CODE(natskv_watcher_next(watcher, 0, &entry, &err), NATSKV_TIMEOUT);
    CHECK(seconds() - start < 0.1);
    CHECK_CODE(natskv_watcher_next(watcher, 150, &entry, &err), NATSKV_TIMEOUT);
    CHECK(seconds() - start >= 0.15);
    CHECK(entry == NULL);
    CHECK_EQ(natskv_watcher_stop(watcher), NATSKV_OK);
    CHECK_EQ(natskv_watcher_stop(watcher), NATSKV_OK);
    CHECK_CODE(natskv_watcher_next(watcher, -1, &entry, &err), NATSKV_CLOSED);
    natskv_watcher_free(watcher);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

const struct test watch_tests[] = {
    {"a watch waits as long as it is told", a_watch_waits_as_long_as_it_is_told},
    {"a bucket made anew under a watch", a_bucket_made_anew_under_a_watch},
    {"a hundred thousand keys", a_hundred_thousand_keys},
    {"a slow reader costs bounded memory", a_slow_reader_costs_bounded_memory},
    {"a killed server under a live watch", a_killed_server_under_a_live_watch},
    {NULL, NULL},
};
