/* The async forms and callbacks of a client with its own thread. */
#include "harness.h"

#include <stdlib.h>

static natskv_error err;

/* ── every verb once */

/* Keeps one answer; what it points to is taken over. */
struct answer {
    struct counter count;
    natskv_reply reply;
    natskv_error error;
};

static void on_answer(void *user, natskv_reply *reply)
{
    struct answer *answer = user;
    answer->reply = *reply;
    if (reply->error)
        answer->error = *reply->error;
    reply->entry = NULL;
    reply->entries = NULL;
    reply->keys = NULL;
    reply->kv = NULL;
    reply->watcher = NULL;
    reply->status = NULL;
    reply->statuses = NULL;
    reply->json = NULL;
    counter_add(&answer->count, 1);
}

/* Starts `call`, waits for its one answer. */
#define ANSWER(answer, call, expected) \
    do { \
        long count_ = counter_get(&(answer).count); \
        CHECK_EQ(call, NATSKV_OK); \
        if (!counter_await(&(answer).count, count_ + 1)) FAIL("no answer to %s", #call); \
        if ((answer).reply.code != (expected)) \
            FAIL("%s: %s (%s)", #call, natskv_code_name((answer).reply.code), (answer).reply.code ? (answer).error.message : ""); \
    } while (0)

static void every_verb_has_an_async_form(void)
{
    struct answer answer = {COUNTER, {0}, {0}};
    natskv_config config;
    natskv_op op = 0, newer = 0;
    natskv_client *client = client_of(&shared);
    natskv_bucket_delete(client, "async", NULL);
    natskv_config_init(&config);
    config.bucket = "async";
    config.history = 5;
    config.storage = NATSKV_STORAGE_MEMORY;
    ANSWER(answer, natskv_ready_async(client, 0, on_answer, &answer, &op), NATSKV_OK);
    ANSWER(answer, natskv_flush_async(client, 0, on_answer, &answer, &newer), NATSKV_OK);
    CHECK(answer.reply.round_trip_ns > 1000);
    CHECK(op != 0 && newer != op);
    ANSWER(answer, natskv_bucket_open_async(client, "async", on_answer, &answer, NULL), NATSKV_BUCKET_NOT_FOUND);
    ANSWER(answer, natskv_bucket_create_async(client, &config, on_answer, &answer, NULL), NATSKV_OK);
    natskv_kv *kv = answer.reply.kv;
    CHECK_TEXT(natskv_kv_bucket(kv), "async");
    ANSWER(answer, natskv_bucket_update_async(client, &config, on_answer, &answer, NULL), NATSKV_OK);
    natskv_kv_free(answer.reply.kv);
    ANSWER(answer, natskv_bucket_create_or_update_async(client, &config, on_answer, &answer, NULL), NATSKV_OK);
    natskv_kv_free(answer.reply.kv);
    ANSWER(answer, natskv_bucket_create_json_async(client, "{\"bucket\":\"async\"}", on_answer, &answer, NULL), NATSKV_BUCKET_EXISTS);
    CHECK(strstr(answer.error.message, "history") != NULL);
    ANSWER(answer, natskv_bucket_open_async(client, "async", on_answer, &answer, NULL), NATSKV_OK);
    natskv_kv_free(answer.reply.kv);
    natskv_handle_options handle;
    natskv_handle_options_init(&handle);
    handle.on_drift = NATSKV_DRIFT_IGNORE;
    handle.read_only = true;
    ANSWER(answer, natskv_bucket_create_json_with_async(client, "{\"bucket\":\"async\"}", &handle, on_answer, &answer, NULL), NATSKV_OK);
    CHECK_EQ(natskv_kv_drift_count(answer.reply.kv), 2);
    natskv_kv_free(answer.reply.kv);
    ANSWER(answer, natskv_bucket_open_with_async(client, "async", &handle, on_answer, &answer, NULL), NATSKV_OK);
    CHECK(natskv_kv_read_only(answer.reply.kv));
    natskv_kv_free(answer.reply.kv);
    ANSWER(answer, natskv_bucket_names_async(client, on_answer, &answer, NULL), NATSKV_OK);
    CHECK(natskv_keys_list_count(answer.reply.keys) >= 1);
    natskv_keys_list_free(answer.reply.keys);
    ANSWER(answer, natskv_bucket_list_async(client, on_answer, &answer, NULL), NATSKV_OK);
    CHECK(natskv_status_list_count(answer.reply.statuses) >= 1);
    natskv_status_list_free(answer.reply.statuses);

    ANSWER(answer, natskv_put_async(kv, "a", "1", 1, on_answer, &answer, NULL), NATSKV_OK);
    CHECK_EQ(answer.reply.revision, 1);
    ANSWER(answer, natskv_put_string_async(kv, "a", "2", on_answer, &answer, NULL), NATSKV_OK);
    ANSWER(answer, natskv_create_async(kv, "a", "3", 1, 0, on_answer, &answer, NULL), NATSKV_KEY_EXISTS);
    ANSWER(answer, natskv_create_async(kv, "b", "3", 1, 0, on_answer, &answer, NULL), NATSKV_OK);
    ANSWER(answer, natskv_update_async(kv, "a", "4", 1, 1, on_answer, &answer, NULL), NATSKV_WRONG_REVISION);
    CHECK_EQ(answer.error.revision, 2);
    CHECK_EQ(answer.error.api_code, 10071);
    ANSWER(answer, natskv_update_async(kv, "a", "4", 1, 2, on_answer, &answer, NULL), NATSKV_OK);
    CHECK_EQ(answer.reply.revision, 4);
    ANSWER(answer, natskv_get_async(kv, "a", on_answer, &answer, NULL), NATSKV_OK);
    CHECK(is_value(answer.reply.entry, "4"));
    CHECK_TEXT(natskv_entry_bucket(answer.reply.entry), "async");
    natskv_entry_free(answer.reply.entry);
    ANSWER(answer, natskv_get_revision_async(kv, "a", 1, on_answer, &answer, NULL), NATSKV_OK);
    CHECK(is_value(answer.reply.entry, "1"));
    natskv_entry_free(answer.reply.entry);
    ANSWER(answer, natskv_delete_async(kv, "b", NULL, on_answer, &answer, NULL), NATSKV_OK);
    ANSWER(answer, natskv_get_async(kv, "b", on_answer, &answer, NULL), NATSKV_KEY_NOT_FOUND);
    ANSWER(answer, natskv_get_entry_async(kv, "b", on_answer, &answer, NULL), NATSKV_OK);
    CHECK_EQ(natskv_entry_operation(answer.reply.entry), NATSKV_DELETE);
    natskv_entry_free(answer.reply.entry);
    ANSWER(answer, natskv_history_async(kv, "a", on_answer, &answer, NULL), NATSKV_OK);
    CHECK_EQ(natskv_entries_count(answer.reply.entries), 3);
    natskv_entries_free(answer.reply.entries);
    ANSWER(answer, natskv_keys_async(kv, NULL, 0, on_answer, &answer, NULL), NATSKV_OK);
    CHECK_EQ(natskv_keys_list_count(answer.reply.keys), 1);
    natskv_keys_list_free(answer.reply.keys);
    ANSWER(answer, natskv_status_async(kv, on_answer, &answer, NULL), NATSKV_OK);
    CHECK_EQ(natskv_status_history(answer.reply.status), 5);
    natskv_status_free(answer.reply.status);
    ANSWER(answer, natskv_purge_async(kv, "a", NULL, on_answer, &answer, NULL), NATSKV_OK);
    ANSWER(answer, natskv_purge_deletes_async(kv, 0, NULL, on_answer, &answer, NULL), NATSKV_OK);
    CHECK_EQ(answer.reply.count, 2);
    ANSWER(answer, natskv_execute_async(kv, "{\"operation\":\"LIST\"}", on_answer, &answer, NULL), NATSKV_OK);
    CHECK(strstr(answer.reply.json, "\"keys\":[]") != NULL);
    natskv_string_free(answer.reply.json);
    ANSWER(answer, natskv_watch_async(kv, NULL, 0, NULL, on_answer, &answer, &op), NATSKV_OK);
    natskv_watcher *watcher = answer.reply.watcher;
    natskv_entry *entry;
    CHECK_CODE(natskv_watcher_next(watcher, 5000, &entry, &err), NATSKV_CAUGHT_UP);
    CHECK_EQ(natskv_op_cancel(client, op), NATSKV_OK); /* over; the watch goes on */
    CHECK_OK(natskv_put_string(kv, "c", "1", NULL, &err));
    CHECK_OK(natskv_watcher_next(watcher, 5000, &entry, &err));
    natskv_entry_free(entry);
    natskv_watcher_free(watcher);
    ANSWER(answer, natskv_bucket_delete_async(client, "async", on_answer, &answer, NULL), NATSKV_OK);
    long before = counter_get(&answer.count);
    ANSWER(answer, natskv_drain_async(client, on_answer, &answer, &op), NATSKV_OK);
    CHECK_EQ(counter_get(&answer.count), before + 1);
    CHECK_EQ(op, 0);
    CHECK_EQ(natskv_state(client), NATSKV_STATE_CLOSED);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

/* What the callback does not take is freed behind it; valgrind watches. */
static void on_ignored(void *user, natskv_reply *reply)
{
    (void)reply;
    counter_add(user, 1);
}

static void what_is_not_taken_is_freed(void)
{
    struct counter count = COUNTER;
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "ignored", "");
    CHECK_OK(natskv_put_string(kv, "a", "1", NULL, &err));
    CHECK_EQ(natskv_get_async(kv, "a", on_ignored, &count, NULL), NATSKV_OK);
    CHECK_EQ(natskv_history_async(kv, "a", on_ignored, &count, NULL), NATSKV_OK);
    CHECK_EQ(natskv_keys_async(kv, NULL, 0, on_ignored, &count, NULL), NATSKV_OK);
    CHECK_EQ(natskv_status_async(kv, on_ignored, &count, NULL), NATSKV_OK);
    CHECK_EQ(natskv_execute_async(kv, "{\"operation\":\"LIST\"}", on_ignored, &count, NULL), NATSKV_OK);
    CHECK_EQ(natskv_watch_async(kv, NULL, 0, NULL, on_ignored, &count, NULL), NATSKV_OK);
    CHECK_EQ(natskv_bucket_open_async(client, "ignored", on_ignored, &count, NULL), NATSKV_OK);
    CHECK_EQ(natskv_bucket_names_async(client, on_ignored, &count, NULL), NATSKV_OK);
    CHECK_EQ(natskv_bucket_list_async(client, on_ignored, &count, NULL), NATSKV_OK);
    CHECK(counter_await(&count, 9));
    natskv_kv_free(kv);
    natskv_client_free(client);
}

/* ── in mid-flight */

static void cancelled_in_mid_flight(void)
{
    struct server server;
    struct answer answer = {COUNTER, {0}, {0}};
    natskv_op op;
    server_start(&server);
    natskv_client *client = client_of(&server);
    natskv_kv *kv = fresh_bucket(client, "cancel", "");
    server_freeze(&server); /* the request leaves, no answer comes */
    CHECK_EQ(natskv_put_string_async(kv, "a", "1", on_answer, &answer, &op), NATSKV_OK);
    nap_ms(20);
    CHECK_EQ(counter_get(&answer.count), 0);
    CHECK_EQ(natskv_op_cancel(client, op), NATSKV_OK);
    CHECK(counter_await(&answer.count, 1));
    CHECK_EQ(answer.reply.code, NATSKV_CANCELLED);
    CHECK_EQ(natskv_op_cancel(client, op), NATSKV_OK);
    CHECK_EQ(natskv_watch_async(kv, NULL, 0, NULL, on_answer, &answer, &op), NATSKV_OK);
    CHECK_EQ(natskv_op_cancel(client, op), NATSKV_OK);
    CHECK(counter_await(&answer.count, 2));
    CHECK_EQ(answer.reply.code, NATSKV_CANCELLED);
    CHECK_EQ(natskv_kv_set_timeout_ms(kv, 200), NATSKV_OK);
    double start = seconds();
    CHECK_CODE(natskv_put_string(kv, "a", "2", NULL, &err), NATSKV_TIMEOUT);
    CHECK(err.maybe_applied);
    CHECK(seconds() - start >= 0.2 && seconds() - start < 2);
    server_thaw(&server);
    CHECK_EQ(natskv_kv_set_timeout_ms(kv, 0), NATSKV_OK);
    CHECK_OK(natskv_put_string(kv, "a", "3", NULL, &err));
    CHECK_EQ(counter_get(&answer.count), 2); /* each exactly once */
    CHECK_EQ(consumers_left(&server), 0);    /* the cancelled watch's consumer was made all the same, and goes */
    natskv_kv_free(kv);
    natskv_client_free(client);
    server_end(&server);
}

static void in_flight_at_the_end(void)
{
    struct server server;
    struct answer answer = {COUNTER, {0}, {0}};
    server_start(&server);
    natskv_client *client = client_of(&server);
    natskv_kv *kv = fresh_bucket(client, "end", "");
    server_freeze(&server);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(natskv_put_string_async(kv, "a", "1", on_answer, &answer, NULL), NATSKV_OK);
    natskv_client_free(client); /* runs the callbacks that are left */
    CHECK_EQ(counter_get(&answer.count), 10);
    CHECK_EQ(answer.reply.code, NATSKV_CLOSED);
    natskv_kv_free(kv);
    server_end(&server);
}

/* Takes nothing, so that what was made is freed. */
static void on_made(void *user, natskv_reply *reply)
{
    (void)reply;
    counter_add(user, 1);
}

static void a_watch_in_the_making_is_taken_back(void)
{
    struct server server;
    server_start(&server);
    natskv_client *client = client_of(&server);
    natskv_kv *kv = fresh_bucket(client, "making", ""), *own;
    for (int i = 0; i < (is_small ? 2 : 10); i++) {
        struct counter made = COUNTER;
        natskv_client *brief = client_of(&server);
        CHECK_OK(natskv_bucket_open(brief, "making", &own, &err));
        for (int n = 0; n < 50; n++)
            CHECK_EQ(natskv_watch_async(own, NULL, 0, NULL, on_made, &made, NULL), NATSKV_OK);
        natskv_client_free(brief);
        CHECK_EQ(counter_get(&made), 50);
        natskv_kv_free(own);
    }
    natskv_kv_free(kv);
    natskv_client_free(client);
    server_end(&server); /* which fails when one of the consumers is there */
}

/* ── watches with callbacks */

struct feed {
    natskv_client *client;
    natskv_kv *kv;
    natskv_watcher *watcher;
    struct counter items, caught_up, dropped, ended;
    natskv_code blocking; /* what a blocking call in a callback gave */
    uint64_t newest;
    int is_unordered;
};

static void on_feed(void *user, natskv_code code, const natskv_entry *entry)
{
    struct feed *feed = user;
    natskv_entry *other;
    if (code == NATSKV_OK) {
        feed->is_unordered |= natskv_entry_revision(entry) <= feed->newest;
        feed->newest = natskv_entry_revision(entry);
        counter_add(&feed->items, 1);
    } else if (code == NATSKV_CAUGHT_UP) {
        feed->blocking = natskv_get(feed->kv, "a", &other, NULL);
        counter_add(&feed->caught_up, 1);
    } else {
        counter_add(&feed->ended, 1);
    }
}

static void on_feed_over(void *user)
{
    struct feed *feed = user;
    counter_add(&feed->dropped, 1);
}

static struct feed *feed_of(natskv_client *client, natskv_kv *kv)
{
    static const struct feed empty = {NULL, NULL, NULL, COUNTER, COUNTER, COUNTER, COUNTER, NATSKV_OK, 0, 0};
    struct feed *feed = malloc(sizeof *feed);
    *feed = empty;
    feed->client = client;
    feed->kv = kv;
    return feed;
}

static void watch_into(struct feed *feed)
{
    natskv_watch_options options;
    natskv_watch_options_init(&options);
    options.on_item = on_feed;
    options.user = feed;
    options.drop = on_feed_over;
    CHECK_OK(natskv_watch(feed->kv, NULL, 0, &options, &feed->watcher, &err));
}

static void a_watch_with_a_callback(void)
{
    int count = is_small ? 300 : 5000;
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "feed", "");
    natskv_entry *entry;
    fill(kv, count, 10);
    struct feed *feed = feed_of(client, kv);
    watch_into(feed);
    CHECK_CODE(natskv_watcher_next(feed->watcher, 0, &entry, &err), NATSKV_INVALID_ARGUMENT);
    CHECK(counter_await(&feed->caught_up, 1));
    CHECK_EQ(counter_get(&feed->items), count);
    CHECK_EQ(feed->blocking, NATSKV_WOULD_DEADLOCK);
    fill(kv, count, 10);
    CHECK(counter_await(&feed->items, 2 * count));
    CHECK_EQ(feed->is_unordered, 0);
    CHECK_EQ(natskv_watcher_stop(feed->watcher), NATSKV_OK);
    CHECK(counter_await(&feed->dropped, 1));
    CHECK_OK(natskv_put_string(kv, "a", "unseen", NULL, &err));
    natskv_watcher_free(feed->watcher);
    natskv_client_free(client);
    CHECK_EQ(counter_get(&feed->items), 2 * count);
    CHECK_EQ(counter_get(&feed->dropped), 1);
    CHECK_EQ(counter_get(&feed->ended), 0);
    natskv_kv_free(kv);
    free(feed);
}

static void a_client_freed_under_its_watches(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "freed", "");
    struct feed *feed = feed_of(client, kv);
    watch_into(feed);
    natskv_client_free(client);
    CHECK_EQ(counter_get(&feed->dropped), 1);
    natskv_watcher_free(feed->watcher); /* handles may go later */
    natskv_kv_free(kv);
    free(feed);
}

/* Frees all handles of its own client, and the client, on the client's thread. */
static void on_end_it_all(void *user, natskv_reply *reply)
{
    struct feed *feed = user;
    (void)reply;
    natskv_watcher_free(feed->watcher);
    natskv_kv_free(feed->kv);
    natskv_client_free(feed->client);
    counter_add(&feed->ended, 1);
}

static void everything_freed_in_a_callback(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "inside", "");
    struct feed *feed = feed_of(client, kv);
    watch_into(feed);
    CHECK_EQ(natskv_put_string_async(kv, "a", "1", on_end_it_all, feed, NULL), NATSKV_OK);
    CHECK(counter_await(&feed->ended, 1));
    CHECK(counter_await(&feed->dropped, 1)); /* the thread still gives `user` back, then it ends */
    nap_ms(20);
    free(feed);
}

const struct test async_tests[] = {
    {"every verb has an async form", every_verb_has_an_async_form},
    {"what is not taken is freed", what_is_not_taken_is_freed},
    {"cancelled in mid-flight", cancelled_in_mid_flight},
    {"in flight at the end", in_flight_at_the_end},
    {"a watch in the making is taken back", a_watch_in_the_making_is_taken_back},
    {"a watch with a callback", a_watch_with_a_callback},
    {"a client freed under its watches", a_client_freed_under_its_watches},
    {"everything freed in a callback", everything_freed_in_a_callback},
    {NULL, NULL},
};
