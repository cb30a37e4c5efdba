/* The connection over its life: what it tells of itself, what it counts, how it ends, and who may use it meanwhile. */
#include "harness.h"

#include <signal.h>
#include <stdlib.h>

static natskv_error err;

/* ── what it tells */

enum { MOST = 16, LAME_DUCK = 100 };

/* Changes of the connection and, between them, that the server will shut down. */
struct states {
    struct counter told, dropped;
    int seen[MOST];
    natskv_error why[MOST];
};

static void tell(struct states *states, int state, const natskv_error *error)
{
    long at = counter_get(&states->told);
    if (at < MOST) {
        states->seen[at] = state;
        states->why[at].code = NATSKV_OK;
        if (error)
            states->why[at] = *error;
    }
    counter_add(&states->told, 1);
}

static void on_status(void *user, natskv_connection_state state, const natskv_error *error)
{
    tell(user, (int)state, error);
}

static void on_notice(void *user, natskv_notice kind, const char *text)
{
    printf("# notice %d: %s\n", (int)kind, text);
    if (kind == NATSKV_NOTICE_LAME_DUCK)
        tell(user, LAME_DUCK, NULL);
}

static void on_states_over(void *user)
{
    struct states *states = user;
    counter_add(&states->dropped, 1);
}

static natskv_options told_to(struct states *states)
{
    natskv_options options;
    natskv_options_init(&options);
    options.on_status = on_status;
    options.on_notice = on_notice;
    options.user = states;
    options.drop = on_states_over;
    return options;
}

/* Exactly these, one after the other. */
#define CHECK_TOLD(states, ...) \
    do { \
        int expected_[] = {__VA_ARGS__}; \
        long count_ = sizeof expected_ / sizeof *expected_; \
        CHECK_EQ(counter_get(&(states).told), count_); \
        for (long i_ = 0; i_ < count_; i_++) \
            CHECK_EQ((states).seen[i_], expected_[i_]); \
    } while (0)

static void each_change_is_told_once(void)
{
    static struct states states = {COUNTER, COUNTER, {0}, {{0}}};
    struct server server;
    natskv_options options = told_to(&states);
    server_start(&server);
    natskv_client *client = client_with(&options, &server);
    CHECK(counter_await(&states.told, 2));
    kill(server.pid, SIGUSR2);
    CHECK(counter_await(&states.told, 3));
    CHECK_OK(natskv_flush(client, 0, &err)); /* it serves on, and there is no other to go to */
    server_kill(&server);
    CHECK(counter_await(&states.told, 5));
    server_restart(&server);
    CHECK(counter_await(&states.told, 6));
    CHECK_OK(natskv_drain(client, &err));
    natskv_client_free(client);
    server_end(&server);
    CHECK_TOLD(states, NATSKV_STATE_CONNECTING, NATSKV_STATE_CONNECTED, LAME_DUCK, NATSKV_STATE_DISCONNECTED,
               NATSKV_STATE_RECONNECTING, NATSKV_STATE_CONNECTED, NATSKV_STATE_DRAINING, NATSKV_STATE_CLOSED);
    CHECK_EQ(states.why[3].code, NATSKV_DISCONNECTED);
    CHECK(strstr(states.why[3].message, server.url));
    for (int i = 0; i < 8; i++)
        CHECK(i == 3 || states.why[i].code == NATSKV_OK);
    CHECK_EQ(counter_get(&states.dropped), 1);
}

static void a_failing_connect_is_told_with_its_reason(void)
{
    static struct states states = {COUNTER, COUNTER, {0}, {{0}}};
    natskv_options options = told_to(&states);
    natskv_client *client;
    options.url = "nats://127.0.0.1:1";
    CHECK_CODE(natskv_connect(&options, &client, &err), NATSKV_CONNECT_FAILED);
    CHECK_TOLD(states, NATSKV_STATE_CONNECTING, NATSKV_STATE_CLOSED);
    CHECK_EQ(states.why[1].code, NATSKV_CONNECT_FAILED);
    CHECK_TEXT(states.why[1].message, err.message);
    CHECK_EQ(counter_get(&states.dropped), 1);
}

static void closing_twice_is_told_once(void)
{
    static struct states states = {COUNTER, COUNTER, {0}, {{0}}};
    natskv_options options = told_to(&states);
    natskv_client *client = client_with(&options, &shared);
    CHECK_EQ(natskv_close(client), NATSKV_OK);
    CHECK_EQ(natskv_close(client), NATSKV_OK);
    CHECK_OK(natskv_drain(client, &err));
    CHECK_EQ(natskv_state(client), NATSKV_STATE_CLOSED);
    natskv_client_free(client);
    CHECK_TOLD(states, NATSKV_STATE_CONNECTING, NATSKV_STATE_CONNECTED, NATSKV_STATE_CLOSED);
}

static void a_wake_finds_out_whether_the_server_lives(void)
{
    static struct states states = {COUNTER, COUNTER, {0}, {{0}}};
    struct server server;
    natskv_options options = told_to(&states);
    server_start(&server);
    options.connect_timeout_ms = 300;
    natskv_client *client = client_with(&options, &server);
    CHECK(counter_await(&states.told, 2));
    CHECK_EQ(natskv_wake(client), NATSKV_OK); /* it answers, and nothing happens */
    CHECK_OK(natskv_flush(client, 0, &err));
    nap_ms(400);
    CHECK_EQ(counter_get(&states.told), 2);
    server_freeze(&server);
    double start = seconds();
    CHECK_EQ(natskv_wake(client), NATSKV_OK);
    CHECK(counter_await(&states.told, 3)); /* pings would have taken two minutes */
    CHECK(seconds() - start < 5);
    CHECK_EQ(states.seen[2], NATSKV_STATE_DISCONNECTED);
    server_thaw(&server);
    CHECK_OK(natskv_flush(client, 30000, &err));
    natskv_client_free(client);
    server_end(&server);
}

/* ── what it counts */

static void the_counters_count(void)
{
    struct server server;
    natskv_statistics before, after;
    natskv_entry *entry;
    server_start(&server);
    natskv_client *client = client_of(&server);
    natskv_kv *kv = fresh_bucket(client, "counted", "");
    char value[1000] = {0};
    CHECK_EQ(natskv_stats(client, &before), NATSKV_OK);
    CHECK_OK(natskv_put(kv, "a", value, sizeof value, NULL, &err));
    CHECK_OK(natskv_get(kv, "a", &entry, &err));
    natskv_entry_free(entry);
    CHECK_EQ(natskv_stats(client, &after), NATSKV_OK);
    CHECK_EQ(after.out_msgs - before.out_msgs, 2);
    CHECK_EQ(after.in_msgs - before.in_msgs, 2);
    CHECK(after.out_bytes - before.out_bytes > 1000 && after.out_bytes - before.out_bytes < 1500);
    CHECK(after.in_bytes - before.in_bytes > 1000 && after.in_bytes - before.in_bytes < 1500);
    CHECK_EQ(after.reconnects, 0);
    server_kill(&server);
    server_restart(&server);
    CHECK_OK(natskv_flush(client, 30000, &err));
    CHECK_EQ(natskv_stats(client, &after), NATSKV_OK);
    CHECK_EQ(after.reconnects, 1);
    natskv_kv_free(kv);
    natskv_client_free(client);
    server_end(&server);
}

/* ── how it ends */

static void on_put(void *user, natskv_reply *reply)
{
    counter_add(user, reply->code == NATSKV_OK);
}

static void a_drain_finishes_what_is_in_flight(void)
{
    int puts = is_small ? 50 : 5000;
    struct counter stored = COUNTER;
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "drained", "");
    for (int i = 0; i < puts; i++)
        CHECK_EQ(natskv_put_async(kv, "a", "x", 1, on_put, &stored, NULL), NATSKV_OK);
    CHECK_OK(natskv_drain(client, &err));
    CHECK_CODE(natskv_put(kv, "a", "x", 1, NULL, &err), NATSKV_CLOSED);
    natskv_client_free(client);
    CHECK_EQ(counter_get(&stored), puts);
    natskv_kv_free(kv);
}

static void requests_wait_for_the_reconnect(void)
{
    struct server server;
    server_start(&server);
    natskv_client *client = client_of(&server);
    natskv_kv *kv = fresh_bucket(client, "wait", ",\"storage\":\"file\"");
    natskv_entry *entry;
    CHECK_OK(natskv_put_string(kv, "a", "1", NULL, &err));
    server_kill(&server);
    while (natskv_state(client) == NATSKV_STATE_CONNECTED)
        nap_ms(1);
    struct counter stored = COUNTER;
    CHECK_EQ(natskv_put_string_async(kv, "b", "2", on_put, &stored, NULL), NATSKV_OK);
    server_restart(&server);
    CHECK(counter_await(&stored, 1));
    CHECK_OK(natskv_get(kv, "a", &entry, &err));
    natskv_entry_free(entry);
    natskv_kv_free(kv);
    natskv_client_free(client);
    server_end(&server);
}

/* ── everything at once */

enum { THREADS = 8 };

struct user {
    natskv_client *client;
    natskv_kv *kv;
    struct counter *answers;
    int number, rounds;
    natskv_code wrong;
};

static void on_answer(void *user, natskv_reply *reply)
{
    (void)reply;
    counter_add(user, 1);
}

/* While the server comes and goes, and once the client is closed. */
static int is_expected(natskv_code code)
{
    switch (code) {
    case NATSKV_OK:
    case NATSKV_CAUGHT_UP:
    case NATSKV_KEY_NOT_FOUND:
    case NATSKV_KEY_EXISTS:
    case NATSKV_WRONG_REVISION:
    case NATSKV_DISCONNECTED:
    case NATSKV_CLOSED:
    case NATSKV_TIMEOUT:
    case NATSKV_NO_RESPONDERS:
    case NATSKV_UNAVAILABLE:
        return 1;
    default:
        return 0;
    }
}

#define TRY(call) \
    do { \
        natskv_code code_ = (call); \
        if (!is_expected(code_)) \
            user->wrong = code_; \
    } while (0)

/* A bit of everything, with handles of its own and the shared ones. */
static void *use(void *argument)
{
    struct user *user = argument;
    for (int i = 0; i < user->rounds && natskv_state(user->client) != NATSKV_STATE_CLOSED; i++) {
        natskv_kv *own = NULL;
        natskv_watcher *watcher = NULL;
        natskv_entry *entry = NULL;
        natskv_keys_list *keys = NULL;
        natskv_bucket_status *status = NULL;
        natskv_statistics stats;
        natskv_op op;
        char *text = NULL;
        uint64_t revision = 0, round_trip;
        const char *filter = "u.>";
        char key[16];
        snprintf(key, sizeof key, "u.%d", (user->number + i) % THREADS);
        TRY(natskv_put_string(user->kv, key, "x", &revision, NULL));
        TRY(natskv_get(user->kv, key, &entry, NULL));
        TRY(natskv_update(user->kv, key, "y", 1, revision ? revision : 1, NULL, NULL));
        TRY(natskv_keys(user->kv, &filter, 1, &keys, NULL));
        TRY(natskv_status(user->kv, &status, NULL));
        TRY(natskv_stats(user->client, &stats));
        TRY(natskv_server_info(user->client, &text, NULL));
        TRY(natskv_rtt_ns(user->client, 0, &round_trip, NULL));
        natskv_kv_set_timeout_ms(user->kv, 2000 + user->number);
        if (natskv_put_async(user->kv, key, "z", 1, on_answer, user->answers, &op) == NATSKV_OK)
            TRY(natskv_op_cancel(user->client, op));
        else
            counter_add(user->answers, 1);
        TRY(natskv_bucket_open(user->client, "chaos", &own, NULL));
        if (own)
            TRY(natskv_watch(own, NULL, 0, NULL, &watcher, NULL));
        for (int items = 0; watcher && items < 3; items++) {
            natskv_entry *item = NULL;
            TRY(natskv_watcher_next(watcher, 100, &item, NULL));
            natskv_entry_free(item);
        }
        natskv_watcher_free(watcher);
        natskv_kv_free(own);
        natskv_entry_free(entry);
        natskv_keys_list_free(keys);
        natskv_status_free(status);
        natskv_string_free(text);
    }
    return NULL;
}

static void everything_at_once_while_the_server_comes_and_goes(void)
{
    struct server server;
    struct counter answers = COUNTER;
    struct user users[THREADS];
    pthread_t threads[THREADS];
    natskv_options options;
    server_start(&server);
    natskv_options_init(&options);
    options.request_timeout_ms = 2000;
    natskv_client *client = client_with(&options, &server);
    natskv_kv *kv = fresh_bucket(client, "chaos", ",\"storage\":\"file\"");
    long asked = 0;
    for (int i = 0; i < THREADS; i++) {
        users[i] = (struct user){client, kv, &answers, i, is_small ? 4 : 60, NATSKV_OK};
        asked += users[i].rounds;
        pthread_create(&threads[i], NULL, use, &users[i]);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(counter_await(&answers, asked * (i + 1) / 4));
        server_kill(&server);
        server_restart(&server);
    }
    CHECK(counter_await(&answers, asked * 3 / 4));
    CHECK_EQ(natskv_close(client), NATSKV_OK);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        CHECK_TEXT(natskv_code_name(users[i].wrong), "NATSKV_OK");
    natskv_kv_free(kv);
    natskv_client_free(client);
    server_kill(&server); /* nobody looks: consumers that were being made at the close go later, by their inactive threshold */
    server_end(&server);
}

const struct test connection_tests[] = {
    {"each change is told once", each_change_is_told_once},
    {"a failing connect is told with its reason", a_failing_connect_is_told_with_its_reason},
    {"closing twice is told once", closing_twice_is_told_once},
    {"a wake finds out whether the server lives", a_wake_finds_out_whether_the_server_lives},
    {"the counters count", the_counters_count},
    {"a drain finishes what is in flight", a_drain_finishes_what_is_in_flight},
    {"requests wait for the reconnect", requests_wait_for_the_reconnect},
    {"everything at once while the server comes and goes", everything_at_once_while_the_server_comes_and_goes},
    {NULL, NULL},
};
