/* nats.c. Its Key/Value API has no async form: many in flight are as many threads. Built with NATS_C_ASYNC, many puts go through
 * js_PublishAsync, which is not Key/Value but what its users take for bulk. */
#include "bench.h"

#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static natsConnection *connection;
static jsCtx *js;
static kvStore *kv;

static void must(natsStatus status, const char *what)
{
    if (status == NATS_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, natsStatus_GetText(status), nats_GetLastError(NULL));
    exit(1);
}

void client_open(const char *url, const char *bucket)
{
    must(natsConnection_ConnectTo(&connection, url), "connect");
    must(natsConnection_JetStream(&js, connection, NULL), "jetstream");
    must(js_KeyValue(&kv, js, bucket), bucket);
}

void client_close(void)
{
    kvStore_Destroy(kv);
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection);
    nats_Close();
}

uint64_t client_put(const char *key, const char *value, size_t size)
{
    uint64_t revision = 0;
    must(kvStore_Put(&revision, kv, key, value, (int)size), key);
    return revision;
}

size_t client_get(const char *key, char *value, size_t room, uint64_t *revision)
{
    kvEntry *entry = NULL;
    must(kvStore_Get(&entry, kv, key), key);
    size_t size = (size_t)kvEntry_ValueLen(entry);
    if (room > 0)
        memcpy(value, kvEntry_Value(entry), size < room ? size : room);
    *revision = kvEntry_Revision(entry);
    kvEntry_Destroy(entry);
    return size;
}

bool client_update(const char *key, const char *value, size_t size, uint64_t revision)
{
    natsStatus status = kvStore_Update(NULL, kv, key, value, (int)size, revision);
    if (status != NATS_OK && nats_GetLastError(NULL) != NULL && strstr(nats_GetLastError(NULL), "wrong last sequence") == NULL)
        must(status, key);
    return status == NATS_OK;
}

#ifdef NATS_C_ASYNC

static struct {
    pthread_mutex_t lock;
    revisions *seen;
    uint64_t done;
} line = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_ack(jsCtx *context, natsMsg *message, jsPubAck *ack, jsPubAckErr *refused, void *user)
{
    (void)context;
    (void)user;
    check(ack != NULL && refused == NULL, "a refused put");
    pthread_mutex_lock(&line.lock);
    revisions_add(line.seen, ack->Sequence);
    line.done++;
    pthread_mutex_unlock(&line.lock);
    natsMsg_Destroy(message);
}

uint64_t client_pipeline(bool is_put, int keys, uint64_t number, double until, revisions *seen)
{
    jsOptions options;
    jsCtx *async = NULL;
    char subject[64];
    check(is_put, "nothing but W3 is async");
    must(jsOptions_Init(&options), "options");
    options.PublishAsync.MaxPending = WINDOW;
    options.PublishAsync.StallWait = 10000;
    options.PublishAsync.AckHandler = on_ack;
    must(natsConnection_JetStream(&async, connection, &options), "jetstream");
    line.seen = seen;
    line.done = 0;
    uint64_t sent = 0;
    for (; now() < until; sent++, number++) {
        snprintf(subject, sizeof subject, "$KV.puts.%s", key_of((int)(number % keys)));
        must(js_PublishAsync(async, subject, value_of(number % MANY), VALUE, NULL), "publish");
    }
    must(js_PublishAsyncComplete(async, NULL), "complete");
    check(line.done == sent, "acknowledgements are missing");
    jsCtx_Destroy(async);
    return sent;
}

#else

/* What the threads of a pipeline share. */
static struct {
    pthread_mutex_t lock;
    bool is_put;
    int keys;
    uint64_t number, limit, done;
    double until;
    revisions *seen;
} line = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *work(void *user)
{
    char found[VALUE];
    while (now() < line.until) {
        pthread_mutex_lock(&line.lock);
        uint64_t number = line.number++;
        pthread_mutex_unlock(&line.lock);
        if (number >= line.limit)
            break;
        int at = (int)(number % line.keys);
        uint64_t revision = 0;
        if (line.is_put)
            revision = client_put(key_of(at), value_of(number % MANY), VALUE);
        else
            check(client_get(key_of(at), found, VALUE, &revision) == VALUE && revision == (uint64_t)at + 1, "an entry");
        pthread_mutex_lock(&line.lock);
        line.done++;
        if (line.is_put)
            revisions_add(line.seen, revision);
        pthread_mutex_unlock(&line.lock);
    }
    return user;
}

static void work_all(void)
{
    pthread_t threads[WINDOW];
    key_of(0), value_of(0); /* the tables are made before there are threads */
    for (int i = 0; i < WINDOW; i++)
        check(pthread_create(&threads[i], NULL, work, NULL) == 0, "no more threads");
    for (int i = 0; i < WINDOW; i++)
        pthread_join(threads[i], NULL);
}

uint64_t client_pipeline(bool is_put, int keys, uint64_t number, double until, revisions *seen)
{
    line.is_put = is_put;
    line.keys = keys;
    line.number = number;
    line.limit = UINT64_MAX;
    line.until = until;
    line.seen = seen;
    line.done = 0;
    work_all();
    return line.done;
}

#endif

void client_snapshot(snapshot *seen)
{
    kvWatcher *watcher = NULL;
    must(kvStore_WatchAll(&watcher, kv, NULL), "watch");
    for (;;) {
        kvEntry *entry = NULL;
        must(kvWatcher_Next(&entry, watcher, 20000), "watch");
        if (entry == NULL)
            break;
        snapshot_add(seen, kvEntry_Revision(entry), strlen(kvEntry_Key(entry)), (size_t)kvEntry_ValueLen(entry));
        kvEntry_Destroy(entry);
    }
    kvWatcher_Destroy(watcher);
}

void client_live(int keys)
{
    kvWatcher *watcher = NULL;
    must(kvStore_WatchAll(&watcher, kv, NULL), "watch");
    meter_ready();
    for (int count = 0; count < keys;) {
        kvEntry *entry = NULL;
        must(kvWatcher_Next(&entry, watcher, 20000), "watch");
        if (entry == NULL)
            continue;
        if (count++ == 0)
            meter_start();
        if (count == keys)
            check(strcmp(kvEntry_Key(entry), key_of(keys - 1)) == 0, "the last key");
        kvEntry_Destroy(entry);
    }
    meter_stop(keys - 1);
    kvWatcher_Destroy(watcher);
}

void client_keys(int keys)
{
    kvKeysList list;
    meter_start();
    must(kvStore_Keys(&list, kv, NULL), "keys");
    meter_stop(list.Count);
    check(list.Count == keys, "how many keys came");
    for (int i = 0; i < keys; i++)
        check(strcmp(list.Keys[i], key_of(i)) == 0, "a key");
    kvKeysList_Destroy(&list);
}

void client_history(void)
{
    kvEntryList list;
    must(kvStore_History(&list, kv, HISTORY, NULL), "history");
    check(list.Count == REVISIONS, "how many revisions came");
    check(memcmp(kvEntry_Value(list.Entries[REVISIONS - 1]), value_of(REVISIONS - 1), VALUE) == 0, "the last value");
    kvEntryList_Destroy(&list);
}

#ifdef NATS_C_ASYNC

void client_get_many(void)
{
    check(false, "nothing but W3 is async");
}

void client_put_many(revisions *seen)
{
    (void)seen;
    client_get_many();
}

#else

/* Threads that each take the next key until all are done. */
static void many(bool is_put, revisions *seen)
{
    line.is_put = is_put;
    line.keys = line.limit = MANY;
    line.number = line.done = 0;
    line.until = now() + 20;
    line.seen = seen;
    work_all();
    check(line.done == MANY, "not all in time");
}

void client_get_many(void)
{
    many(false, NULL);
}

void client_put_many(revisions *seen)
{
    many(true, seen);
}

#endif
