/* natskv. One in flight is the blocking form; many are the async form, whose callbacks each start the next. */
#include "bench.h"

#include <natskv.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static natskv_client *client;
static natskv_kv *kv;
static natskv_error error;

static void must(natskv_code code, const char *what)
{
    if (code == NATSKV_OK)
        return;
    natskv_error why;
    natskv_last_error(&why);
    fprintf(stderr, "%s: %s: %s\n", what, natskv_code_name(code), why.message);
    exit(1);
}

void client_open(const char *url, const char *bucket)
{
    natskv_options options;
    natskv_options_init(&options);
    options.url = url;
    must(natskv_connect(&options, &client, &error), "connect");
    must(natskv_bucket_open(client, bucket, &kv, &error), bucket);
}

void client_close(void)
{
    natskv_kv_free(kv);
    natskv_client_free(client);
}

uint64_t client_put(const char *key, const char *value, size_t size)
{
    uint64_t revision = 0;
    must(natskv_put(kv, key, value, size, &revision, &error), key);
    return revision;
}

size_t client_get(const char *key, char *value, size_t room, uint64_t *revision)
{
    natskv_entry *entry = NULL;
    must(natskv_get(kv, key, &entry, NULL), key);
    natskv_slice found = natskv_entry_value(entry);
    if (room > 0)
        memcpy(value, found.data, found.len < room ? found.len : room);
    *revision = natskv_entry_revision(entry);
    natskv_entry_free(entry);
    return found.len;
}

bool client_update(const char *key, const char *value, size_t size, uint64_t revision)
{
    natskv_code code = natskv_update(kv, key, value, size, revision, NULL, NULL);
    if (code != NATSKV_WRONG_REVISION)
        must(code, key);
    return code == NATSKV_OK;
}

/* What the callbacks of a pipeline share; they run on one thread. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t is_over;
    bool is_put, is_done;
    int keys, running;
    uint64_t number, done;
    double until;
    revisions *seen;
} line = {.lock = PTHREAD_MUTEX_INITIALIZER, .is_over = PTHREAD_COND_INITIALIZER};

static void begin_one(void);

static void on_reply(void *user, natskv_reply *reply)
{
    uint64_t revision = (uint64_t)(uintptr_t)user + 1;
    must(reply->code, "a reply");
    line.done++;
    if (line.is_put)
        revisions_add(line.seen, reply->revision);
    else
        check(natskv_entry_revision(reply->entry) == revision && natskv_entry_value(reply->entry).len == VALUE, "an entry");
    if (now() < line.until) {
        begin_one();
    } else if (--line.running == 0) {
        pthread_mutex_lock(&line.lock);
        line.is_done = true;
        pthread_cond_signal(&line.is_over);
        pthread_mutex_unlock(&line.lock);
    }
}

static void begin_one(void)
{
    uint64_t number = line.number++;
    int at = (int)(number % line.keys);
    void *user = (void *)(uintptr_t)at;
    if (line.is_put)
        must(natskv_put_async(kv, key_of(at), value_of(number % MANY), VALUE, on_reply, user, NULL), "put");
    else
        must(natskv_get_async(kv, key_of(at), on_reply, user, NULL), "get");
}

/* The first ones are begun in a callback too, so that all is on one thread. */
static void on_begin(void *user, natskv_reply *reply)
{
    (void)user;
    must(reply->code, "flush");
    for (int i = 0; i < WINDOW; i++)
        begin_one();
}

uint64_t client_pipeline(bool is_put, int keys, uint64_t number, double until, revisions *seen)
{
    line.is_put = is_put;
    line.keys = keys;
    line.number = number;
    line.until = until;
    line.seen = seen;
    line.done = 0;
    line.is_done = false;
    line.running = WINDOW;
    must(natskv_flush_async(client, 0, on_begin, NULL, NULL), "flush");
    pthread_mutex_lock(&line.lock);
    while (!line.is_done)
        pthread_cond_wait(&line.is_over, &line.lock);
    pthread_mutex_unlock(&line.lock);
    return line.done;
}

void client_snapshot(snapshot *seen)
{
    natskv_watcher *watcher = NULL;
    natskv_code code = NATSKV_OK;
    must(natskv_watch(kv, NULL, 0, NULL, &watcher, &error), "watch");
    while (code != NATSKV_CAUGHT_UP) {
        natskv_entry *entry = NULL;
        code = natskv_watcher_next(watcher, 20000, &entry, &error);
        if (code == NATSKV_OK) {
            snapshot_add(seen, natskv_entry_revision(entry), strlen(natskv_entry_key(entry)), natskv_entry_value(entry).len);
            natskv_entry_free(entry);
        } else if (code != NATSKV_CAUGHT_UP) {
            must(code, "watch");
        }
    }
    natskv_watcher_free(watcher);
}

void client_live(int keys)
{
    natskv_watcher *watcher = NULL;
    must(natskv_watch(kv, NULL, 0, NULL, &watcher, &error), "watch");
    meter_ready();
    for (int count = 0; count < keys;) {
        natskv_entry *entry = NULL;
        natskv_code code = natskv_watcher_next(watcher, 20000, &entry, &error);
        if (code == NATSKV_CAUGHT_UP)
            continue;
        must(code, "watch");
        if (count++ == 0)
            meter_start();
        if (count == keys)
            check(strcmp(natskv_entry_key(entry), key_of(keys - 1)) == 0, "the last key");
        natskv_entry_free(entry);
    }
    meter_stop(keys - 1);
    natskv_watcher_free(watcher);
}

void client_keys(int keys)
{
    natskv_keys_list *list = NULL;
    meter_start();
    must(natskv_keys(kv, NULL, 0, &list, &error), "keys");
    meter_stop(natskv_keys_list_count(list));
    check(natskv_keys_list_count(list) == (size_t)keys, "how many keys came");
    for (int i = 0; i < keys; i++)
        check(strcmp(natskv_keys_list_at(list, i), key_of(i)) == 0, "a key");
    natskv_keys_list_free(list);
}

void client_history(void)
{
    natskv_entries *entries = NULL;
    must(natskv_history(kv, HISTORY, &entries, &error), "history");
    check(natskv_entries_count(entries) == REVISIONS, "how many revisions came");
    natskv_slice last = natskv_entry_value(natskv_entries_at(entries, REVISIONS - 1));
    check(last.len == VALUE && memcmp(last.data, value_of(REVISIONS - 1), VALUE) == 0, "the last value");
    natskv_entries_free(entries);
}

void client_get_many(void)
{
    const char *keys[MANY];
    natskv_entries *entries = NULL;
    for (int i = 0; i < MANY; i++)
        keys[i] = key_of(i);
    must(natskv_get_many(kv, keys, MANY, &entries, &error), "get_many");
    check(natskv_entries_count(entries) == MANY, "how many keys came");
    for (int i = 0; i < MANY; i++) {
        const natskv_entry *entry = natskv_entries_at(entries, i);
        check(natskv_entry_revision(entry) == (uint64_t)i + 1 && natskv_entry_value(entry).len == VALUE, "an entry");
    }
    natskv_entries_free(entries);
}

void client_put_many(revisions *seen)
{
    natskv_item items[MANY];
    natskv_result results[MANY];
    for (int i = 0; i < MANY; i++)
        items[i] = (natskv_item){key_of(i), value_of(i), VALUE};
    must(natskv_put_many(kv, items, MANY, results, &error), "put_many");
    for (int i = 0; i < MANY; i++)
        revisions_add(seen, results[i].revision);
}
