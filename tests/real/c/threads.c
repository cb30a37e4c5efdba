/* Many threads: on one client, on one watcher, against each other. */
#include "harness.h"

#include <stdlib.h>

enum { THREADS = 8 };

static natskv_error err;

/* ── two clients race */

struct racer {
    natskv_kv *kv;
    pthread_barrier_t *start;
    int rounds;
    int won, lost, failed;
    char *is_winner;
};

static void *race(void *user)
{
    struct racer *racer = user;
    char key[32];
    for (int i = 0; i < racer->rounds; i++) {
        snprintf(key, sizeof key, "r.%d", i);
        pthread_barrier_wait(racer->start);
        natskv_code code = natskv_create(racer->kv, key, "mine", 4, 0, NULL, NULL);
        racer->is_winner[i] = code == NATSKV_OK;
        racer->won += code == NATSKV_OK;
        racer->lost += code == NATSKV_KEY_EXISTS;
        racer->failed += code != NATSKV_OK && code != NATSKV_KEY_EXISTS;
    }
    return NULL;
}

static void two_clients_race_a_create(void)
{
    int rounds = is_small ? 20 : 300;
    pthread_barrier_t start;
    pthread_t threads[2];
    struct racer racers[2] = {{0}, {0}};
    natskv_client *clients[2];
    pthread_barrier_init(&start, NULL, 2);
    for (int i = 0; i < 2; i++) {
        clients[i] = client_of(&shared);
        if (i == 0)
            racers[i].kv = fresh_bucket(clients[i], "race", "");
        else
            CHECK_OK(natskv_bucket_open(clients[i], "race", &racers[i].kv, &err));
        racers[i].start = &start;
        racers[i].rounds = rounds;
        racers[i].is_winner = calloc((size_t)rounds, 1);
    }
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, race, &racers[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(racers[0].failed + racers[1].failed, 0);
    CHECK_EQ(racers[0].won + racers[1].won, rounds);
    for (int i = 0; i < rounds; i++)
        CHECK_EQ(racers[0].is_winner[i] + racers[1].is_winner[i], 1);
    printf("# %d to %d\n", racers[0].won, racers[1].won);
    for (int i = 0; i < 2; i++) {
        natskv_kv_free(racers[i].kv);
        natskv_client_free(clients[i]);
        free(racers[i].is_winner);
    }
    pthread_barrier_destroy(&start);
}

/* ── one client for all */

struct worker {
    natskv_kv *kv;
    int number, rounds, wrong;
    struct counter *answers;
};

static void on_worker_put(void *user, natskv_reply *reply)
{
    counter_add(user, reply->code == NATSKV_OK);
}

static void *work(void *user)
{
    struct worker *worker = user;
    char key[32], value[32];
    for (int i = 0; i < worker->rounds; i++) {
        natskv_entry *entry;
        snprintf(key, sizeof key, "w.%d.%d", worker->number, i % 10);
        snprintf(value, sizeof value, "%d/%d", worker->number, i);
        worker->wrong += natskv_put_string(worker->kv, key, value, NULL, NULL) != NATSKV_OK;
        if (natskv_get(worker->kv, key, &entry, NULL) == NATSKV_OK) {
            worker->wrong += !is_value(entry, value);
            natskv_entry_free(entry);
        } else {
            worker->wrong++;
        }
        worker->wrong += natskv_put_string_async(worker->kv, "async", "x", on_worker_put, worker->answers, NULL) != NATSKV_OK;
    }
    return NULL;
}

static void on_seen(void *user, natskv_code code, const natskv_entry *entry)
{
    (void)entry;
    counter_add(user, code == NATSKV_OK);
}

static void threads_share_one_client(void)
{
    int rounds = is_small ? 15 : 400;
    struct counter answers = COUNTER, seen = COUNTER;
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "shared", ",\"history\":64");
    natskv_watcher *watcher;
    natskv_watch_options options;
    natskv_watch_options_init(&options);
    options.on_item = on_seen;
    options.user = &seen;
    const char *filters[] = {"w.>"};
    CHECK_OK(natskv_watch(kv, filters, 1, &options, &watcher, &err));
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){kv, i, rounds, 0, &answers};
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(workers[i].wrong, 0);
    CHECK(counter_await(&answers, THREADS * rounds));
    CHECK(counter_await(&seen, THREADS * rounds));
    natskv_watcher_free(watcher);
    natskv_client_free(client);
    natskv_kv_free(kv);
}

/* ── compare and set */

static void *increment(void *user)
{
    struct worker *worker = user;
    char value[32];
    for (int i = 0; i < worker->rounds;) {
        natskv_entry *entry;
        if (natskv_get(worker->kv, "n", &entry, NULL) != NATSKV_OK) {
            worker->wrong++;
            return NULL;
        }
        natskv_slice old = natskv_entry_value(entry);
        snprintf(value, sizeof value, "%.*s", (int)old.len, old.data);
        int length = snprintf(value, sizeof value, "%d", atoi(value) + 1);
        natskv_code code = natskv_update(worker->kv, "n", value, (size_t)length, natskv_entry_revision(entry), NULL, NULL);
        natskv_entry_free(entry);
        i += code == NATSKV_OK;
        worker->wrong += code != NATSKV_OK && code != NATSKV_WRONG_REVISION;
    }
    return NULL;
}

static void no_increment_is_lost(void)
{
    int rounds = is_small ? 5 : 100;
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    char value[32];
    natskv_entry *entry;
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "cas", "");
    CHECK_OK(natskv_put_string(kv, "n", "0", NULL, &err));
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){kv, i, rounds, 0, NULL};
        pthread_create(&threads[i], NULL, increment, &workers[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(workers[i].wrong, 0);
    snprintf(value, sizeof value, "%d", THREADS * rounds);
    CHECK_OK(natskv_get(kv, "n", &entry, &err));
    CHECK(is_value(entry, value));
    natskv_entry_free(entry);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

/* ── one watcher, several readers */

struct reader {
    natskv_watcher *watcher;
    struct counter *items;
    natskv_code end;
};

static void *read_items(void *user)
{
    struct reader *reader = user;
    natskv_entry *entry;
    for (;;) {
        natskv_code code = natskv_watcher_next(reader->watcher, -1, &entry, NULL);
        if (code == NATSKV_OK) {
            natskv_entry_free(entry);
            counter_add(reader->items, 1);
        } else if (code != NATSKV_CAUGHT_UP) {
            reader->end = code;
            return NULL;
        }
    }
}

static void several_read_one_watcher(void)
{
    int count = is_small ? 100 : 2000;
    struct counter items = COUNTER;
    struct reader readers[4];
    pthread_t threads[4];
    natskv_watcher *watcher;
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "readers", "");
    CHECK_OK(natskv_watch(kv, NULL, 0, NULL, &watcher, &err));
    for (int i = 0; i < 4; i++) {
        readers[i] = (struct reader){watcher, &items, NATSKV_OK};
        pthread_create(&threads[i], NULL, read_items, &readers[i]);
    }
    fill(kv, count, 8);
    CHECK(counter_await(&items, count));
    CHECK_EQ(natskv_watcher_stop(watcher), NATSKV_OK); /* wakes all that wait */
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(readers[i].end, NATSKV_CLOSED);
    }
    CHECK_EQ(counter_get(&items), count);
    natskv_watcher_free(watcher);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void a_close_wakes_who_waits(void)
{
    struct counter items = COUNTER;
    struct reader reader = {NULL, &items, NATSKV_OK};
    pthread_t thread;
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "woken", "");
    CHECK_OK(natskv_watch(kv, NULL, 0, NULL, &reader.watcher, &err));
    pthread_create(&thread, NULL, read_items, &reader);
    CHECK_OK(natskv_put_string(kv, "a", "1", NULL, &err));
    CHECK(counter_await(&items, 1));
    CHECK_EQ(natskv_close(client), NATSKV_OK);
    pthread_join(thread, NULL);
    CHECK_EQ(reader.end, NATSKV_CLOSED);
    natskv_watcher_free(reader.watcher);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

/* A thread that waits for something else must not slow the callbacks down. */
static void callbacks_flow_beside_a_blocked_reader(void)
{
    int count = is_small ? 300 : 20000;
    struct counter nothing = COUNTER, seen = COUNTER;
    struct reader reader = {NULL, &nothing, NATSKV_OK};
    pthread_t thread;
    natskv_watcher *watcher;
    natskv_watch_options options;
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "beside", "");
    const char *filters[] = {"never"};
    CHECK_OK(natskv_watch(kv, filters, 1, NULL, &reader.watcher, &err));
    pthread_create(&thread, NULL, read_items, &reader);
    fill(kv, count, 8);
    natskv_watch_options_init(&options);
    options.on_item = on_seen;
    options.user = &seen;
    double start = seconds();
    CHECK_OK(natskv_watch(kv, NULL, 0, &options, &watcher, &err));
    CHECK(counter_await(&seen, count));
    printf("# %.0f callbacks/s\n", count / (seconds() - start));
    CHECK(is_small || seconds() - start < 5);
    CHECK_EQ(natskv_watcher_stop(reader.watcher), NATSKV_OK);
    pthread_join(thread, NULL);
    natskv_watcher_free(reader.watcher);
    natskv_watcher_free(watcher);
    natskv_client_free(client);
    natskv_kv_free(kv);
}

const struct test thread_tests[] = {
    {"two clients race a create", two_clients_race_a_create},
    {"threads share one client", threads_share_one_client},
    {"no increment is lost", no_increment_is_lost},
    {"several read one watcher", several_read_one_watcher},
    {"a close wakes who waits", a_close_wakes_who_waits},
    {"callbacks flow beside a blocked reader", callbacks_flow_beside_a_blocked_reader},
    {NULL, NULL},
};
