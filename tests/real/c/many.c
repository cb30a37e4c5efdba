/* The verbs on many keys, those with a TTL, and what tells how far they are. */
#include "harness.h"

#include <stdlib.h>

static natskv_error err;

/* ── TTLs */

static void a_put_may_have_a_ttl(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "ttls", ",\"limit_marker_ttl\":60000000000");
    natskv_write_options options;
    natskv_entry *entry;
    uint64_t revision;
    natskv_write_options_init(&options);
    options.ttl_ms = 60000;
    CHECK_OK(natskv_put_with(kv, "a", "1", 1, &options, &revision, &err));
    CHECK_OK(natskv_get(kv, "a", &entry, &err));
    CHECK_EQ(natskv_entry_ttl_ms(entry), 60000);
    CHECK(natskv_entry_remaining_ms(entry) > 50000);
    natskv_entry_free(entry);
    options.expected_revision = revision;
    CHECK_OK(natskv_put_with(kv, "a", "2", 1, &options, NULL, &err));
    CHECK_CODE(natskv_put_with(kv, "a", "3", 1, &options, NULL, &err), NATSKV_WRONG_REVISION);
    CHECK_EQ(err.revision, revision + 1);
    CHECK_OK(natskv_put_with(kv, "b", "1", 1, NULL, NULL, &err)); /* no options: a plain put */
    CHECK_OK(natskv_get(kv, "b", &entry, &err));
    CHECK_EQ(natskv_entry_ttl_ms(entry), 0);
    CHECK_EQ(natskv_entry_remaining_ms(entry), -1);
    natskv_entry_free(entry);
    natskv_kv_free(kv);

    options.expected_revision = 0;
    kv = fresh_bucket(client, "ttls", ",\"limit_marker_ttl\":60000000000,\"history\":2");
    CHECK_SAYS(natskv_put_with(kv, "a", "1", 1, &options, NULL, &err), NATSKV_UNSUPPORTED, "history");
    CHECK_OK(natskv_put_string(kv, "a", "1", NULL, &err));
    CHECK_CODE(natskv_touch(kv, "a", 60000, NULL, &err), NATSKV_UNSUPPORTED);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void a_touch_prolongs_a_life(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "touched", ",\"limit_marker_ttl\":60000000000");
    natskv_entry *entry;
    uint64_t first, second;
    CHECK_CODE(natskv_touch(kv, "a", 60000, NULL, &err), NATSKV_KEY_NOT_FOUND);
    CHECK_OK(natskv_create(kv, "a", "same", 4, 2000, &first, &err));
    CHECK_OK(natskv_touch(kv, "a", 90000, &second, &err));
    CHECK(second > first);
    CHECK_OK(natskv_get(kv, "a", &entry, &err));
    CHECK(is_value(entry, "same"));
    CHECK_EQ(natskv_entry_revision(entry), second);
    CHECK_EQ(natskv_entry_ttl_ms(entry), 90000);
    natskv_entry_free(entry);
    CHECK_SAYS(natskv_touch(kv, "a", 0, NULL, &err), NATSKV_INVALID_ARGUMENT, "ttl_ms", "1000");
    CHECK_CODE(natskv_touch(kv, "a", -5, NULL, &err), NATSKV_INVALID_ARGUMENT);
    CHECK_CODE(natskv_touch(kv, "a", 500, NULL, &err), NATSKV_INVALID_ARGUMENT);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

/* ── many at once */

static void many_are_read_at_one_moment(void)
{
    int count = is_small ? 1100 : 3000; /* more than one request of the server's takes */
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "read", "");
    natskv_entries *entries;
    uint64_t revision = fill(kv, count, 10);
    char(*names)[16] = malloc((size_t)count * sizeof *names);
    const char **keys = malloc((size_t)count * sizeof *keys);
    for (int i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "k.%d", i);
        keys[i] = names[i];
    }
    CHECK_OK(natskv_delete(kv, "k.7", NULL, NULL, &err));
    CHECK_OK(natskv_get_many(kv, keys, (size_t)count, &entries, &err));
    CHECK_EQ(natskv_entries_count(entries), count - 1);
    for (size_t i = 1; i < natskv_entries_count(entries); i++)
        CHECK(strcmp(natskv_entry_key(natskv_entries_at(entries, i - 1)), natskv_entry_key(natskv_entries_at(entries, i))) < 0);
    natskv_entries_free(entries);
    const char *few[] = {"k.1", "k.7", "nobody", "k.1", "k.2*"};
    CHECK_OK(natskv_get_many(kv, few, 3, &entries, &err));
    CHECK_EQ(natskv_entries_count(entries), 1);
    CHECK_TEXT(natskv_entry_key(natskv_entries_at(entries, 0)), "k.1");
    CHECK_EQ(natskv_entries_as_of(entries), revision + 1);
    natskv_entries_free(entries);
    few[4] = "k.*";
    CHECK_OK(natskv_get_many(kv, few, 5, &entries, &err));
    CHECK_EQ(natskv_entries_count(entries), count - 1);
    natskv_entries_free(entries);
    CHECK_OK(natskv_get_many(kv, NULL, 0, &entries, &err));
    CHECK_EQ(natskv_entries_count(entries), 0);
    natskv_entries_free(entries);
    few[2] = "a..b";
    CHECK_CODE(natskv_get_many(kv, few, 3, &entries, &err), NATSKV_INVALID_KEY);
    free(names);
    free(keys);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void many_are_written_in_one_call(void)
{
    int count = is_small ? 200 : 20000;
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "written", "");
    uint64_t live;
    char(*names)[16] = malloc((size_t)count * sizeof *names);
    natskv_item *items = malloc((size_t)count * sizeof *items);
    natskv_result *results = malloc((size_t)count * sizeof *results);
    for (int i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "k.%d", i);
        items[i] = (natskv_item){names[i], names[i], strlen(names[i])};
    }
    double start = seconds();
    CHECK_OK(natskv_put_many(kv, items, (size_t)count, results, &err));
    printf("# %.0f puts/s\n", count / (seconds() - start));
    for (int i = 0; i < count; i++) {
        CHECK_EQ(results[i].code, NATSKV_OK);
        CHECK_EQ(results[i].revision, i + 1);
    }
    CHECK_OK(natskv_count(kv, NULL, 0, &live, &err));
    CHECK_EQ(live, count);
    CHECK_OK(natskv_put_many(kv, items, 3, NULL, &err)); /* nobody looks at the results */
    CHECK_OK(natskv_put_many(kv, NULL, 0, NULL, &err));
    items[1].key = "a..b"; /* nothing of it is sent */
    CHECK_SAYS(natskv_put_many(kv, items, 3, results, &err), NATSKV_INVALID_KEY, "a..b");
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(results[i].code, NATSKV_INVALID_KEY);
        CHECK_EQ(results[i].revision, 0);
    }
    CHECK_OK(natskv_put_string(kv, "next", "x", &live, &err));
    CHECK_EQ(live, count + 4);
    free(names);
    free(items);
    free(results);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void each_item_has_its_own_result(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "full", ",\"max_bytes\":3000");
    char value[1000] = {0};
    natskv_item items[] = {{"a", value, sizeof value}, {"b", value, sizeof value}, {"c", value, sizeof value}, {"d", "", 0}};
    natskv_result results[4];
    CHECK_SAYS(natskv_put_many(kv, items, 4, results, &err), NATSKV_BUCKET_FULL, "maximum bytes");
    CHECK_EQ(results[0].code, NATSKV_OK);
    CHECK_EQ(results[1].code, NATSKV_OK);
    CHECK_EQ(results[2].code, NATSKV_BUCKET_FULL);
    CHECK(!results[2].maybe_applied);
    CHECK_EQ(results[3].code, NATSKV_OK);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void live_entries_are_listed_and_counted(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "listed", ",\"history\":3");
    natskv_entries *entries;
    uint64_t count;
    const char *filters[] = {"a.*"};
    CHECK_OK(natskv_put_string(kv, "a.2", "old", NULL, &err));
    CHECK_OK(natskv_put_string(kv, "a.1", "1", NULL, &err));
    CHECK_OK(natskv_put_string(kv, "a.2", "2", NULL, &err));
    CHECK_OK(natskv_put_string(kv, "b", "3", NULL, &err));
    CHECK_OK(natskv_put_string(kv, "a.3", "4", NULL, &err));
    CHECK_OK(natskv_delete(kv, "a.3", NULL, NULL, &err));
    CHECK_OK(natskv_list_entries(kv, filters, 1, &entries, &err));
    CHECK_EQ(natskv_entries_count(entries), 2);
    CHECK_TEXT(natskv_entry_key(natskv_entries_at(entries, 0)), "a.1"); /* in the order of revisions */
    CHECK(is_value(natskv_entries_at(entries, 1), "2"));
    CHECK_EQ(natskv_entries_as_of(entries), 0);
    natskv_entries_free(entries);
    CHECK_OK(natskv_list_entries(kv, NULL, 0, &entries, &err));
    CHECK_EQ(natskv_entries_count(entries), 3);
    natskv_entries_free(entries);
    CHECK_OK(natskv_count(kv, filters, 1, &count, &err));
    CHECK_EQ(count, 2);
    CHECK_OK(natskv_count(kv, NULL, 0, &count, &err));
    CHECK_EQ(count, 3);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

/* ── how far they are */

struct progress {
    natskv_kv *kv;
    pthread_t thread;
    long calls;
    uint64_t done, total;
    int is_foreign, is_wrong;
    natskv_code inside;
    struct counter ended;
    natskv_code code;
    uint64_t count;
};

static void on_progress(void *user, uint64_t done, uint64_t total)
{
    struct progress *progress = user;
    natskv_entry *entry = NULL;
    progress->is_foreign |= !pthread_equal(progress->thread, pthread_self());
    progress->is_wrong |= done < progress->done || done > total || counter_get(&progress->ended) > 0;
    progress->done = done;
    progress->total = total;
    progress->inside = natskv_get(progress->kv, "k.0", &entry, NULL);
    progress->calls++;
}

static void on_end(void *user, natskv_reply *reply)
{
    struct progress *progress = user;
    progress->code = reply->code;
    progress->count = reply->count;
    counter_add(&progress->ended, 1);
}

static void long_work_tells_how_far_it_is(void)
{
    int count = is_small ? 60 : 1500;
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "work", "");
    struct progress progress = {.kv = kv, .thread = pthread_self(), .ended = COUNTER};
    uint64_t number;
    fill(kv, count, 8);
    CHECK_OK(natskv_put_string(kv, "k", "the prefix itself", NULL, &err));
    CHECK_OK(natskv_put_string(kv, "other", "stays", NULL, &err));
    CHECK_OK(natskv_clear(kv, "k", on_progress, &progress, &number, &err));
    CHECK_EQ(number, count + 1);
    CHECK(progress.calls > 0 && progress.calls <= 101);
    CHECK(!progress.is_wrong && !progress.is_foreign);
    CHECK_EQ(progress.done, count + 1);
    CHECK_EQ(progress.total, count + 1);
    CHECK_EQ(progress.inside, NATSKV_WOULD_DEADLOCK);
    CHECK_OK(natskv_count(kv, NULL, 0, &number, &err));
    CHECK_EQ(number, 1);

    progress = (struct progress){.kv = kv, .thread = pthread_self(), .ended = COUNTER};
    CHECK_OK(natskv_purge_deletes(kv, 0, on_progress, &progress, &number, &err));
    CHECK_EQ(number, count + 1);
    CHECK(progress.calls > 0 && progress.calls <= 101);
    CHECK(!progress.is_wrong && !progress.is_foreign);
    CHECK_EQ(progress.done, count + 1);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void long_work_tells_its_callback(void)
{
    int count = is_small ? 60 : 1500;
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "calls", "");
    struct progress progress = {.kv = kv, .thread = pthread_self(), .ended = COUNTER};
    fill(kv, count, 8);
    CHECK_EQ(natskv_clear_async(kv, ">", on_progress, on_end, &progress, NULL), NATSKV_OK);
    CHECK(counter_await(&progress.ended, 1));
    CHECK_EQ(progress.code, NATSKV_OK);
    CHECK_EQ(progress.count, count);
    CHECK_EQ(progress.done, count);
    CHECK(progress.calls > 0 && progress.calls <= 101 && !progress.is_wrong);
    CHECK_EQ(progress.inside, NATSKV_WOULD_DEADLOCK);
    progress = (struct progress){.kv = kv, .ended = COUNTER};
    CHECK_EQ(natskv_purge_deletes_async(kv, 0, on_progress, on_end, &progress, NULL), NATSKV_OK);
    CHECK(counter_await(&progress.ended, 1));
    CHECK_EQ(progress.count, count);
    CHECK(progress.calls > 0 && !progress.is_wrong);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

/* ── without waiting */

struct answer {
    struct counter count;
    natskv_reply reply;
    natskv_result results[3];
};

static void on_answer(void *user, natskv_reply *reply)
{
    struct answer *answer = user;
    answer->reply = *reply;
    for (size_t i = 0; i < reply->result_count && i < 3; i++)
        answer->results[i] = reply->results[i];
    reply->entries = NULL;
    counter_add(&answer->count, 1);
}

#define ANSWERED(call) \
    do { \
        long before_ = counter_get(&answer.count); \
        CHECK_EQ(call, NATSKV_OK); \
        CHECK(counter_await(&answer.count, before_ + 1)); \
    } while (0)

static void the_async_forms_answer_alike(void)
{
    struct answer answer = {COUNTER, {0}, {{NATSKV_OK, false, 0}}};
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "alike", ",\"limit_marker_ttl\":60000000000,\"max_value_size\":4000");
    natskv_write_options options;
    natskv_item items[] = {{"a", "1", 1}, {"b", "2", 1}, {"c", "3", 1}};
    const char *keys[] = {"c", "a", "nobody"};
    natskv_write_options_init(&options);
    options.ttl_ms = 60000;
    ANSWERED(natskv_put_many_async(kv, items, 3, on_answer, &answer, NULL));
    CHECK_EQ(answer.reply.code, NATSKV_OK);
    CHECK_EQ(answer.reply.result_count, 3);
    CHECK_EQ(answer.results[2].revision, 3);
    ANSWERED(natskv_put_with_async(kv, "a", "4", 1, &options, on_answer, &answer, NULL));
    CHECK_EQ(answer.reply.revision, 4);
    ANSWERED(natskv_touch_async(kv, "a", 90000, on_answer, &answer, NULL));
    CHECK_EQ(answer.reply.revision, 5);
    ANSWERED(natskv_get_many_async(kv, keys, 3, on_answer, &answer, NULL));
    CHECK_EQ(natskv_entries_count(answer.reply.entries), 2);
    CHECK_EQ(natskv_entries_as_of(answer.reply.entries), 5);
    CHECK_EQ(natskv_entry_ttl_ms(natskv_entries_at(answer.reply.entries, 0)), 90000);
    natskv_entries_free(answer.reply.entries);
    ANSWERED(natskv_list_entries_async(kv, NULL, 0, on_answer, &answer, NULL));
    CHECK_EQ(natskv_entries_count(answer.reply.entries), 3);
    natskv_entries_free(answer.reply.entries);
    ANSWERED(natskv_count_async(kv, keys, 1, on_answer, &answer, NULL));
    CHECK_EQ(answer.reply.count, 1);
    CHECK_EQ(natskv_close(client), NATSKV_OK);
    CHECK_CODE(natskv_put_many_async(kv, items, 3, on_answer, &answer, NULL), NATSKV_CLOSED);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

const struct test many_tests[] = {
    {"a put may have a TTL", a_put_may_have_a_ttl},
    {"a touch prolongs a life", a_touch_prolongs_a_life},
    {"many are read at one moment", many_are_read_at_one_moment},
    {"many are written in one call", many_are_written_in_one_call},
    {"each item has its own result", each_item_has_its_own_result},
    {"live entries are listed and counted", live_entries_are_listed_and_counted},
    {"long work tells how far it is", long_work_tells_how_far_it_is},
    {"long work tells its callback", long_work_tells_its_callback},
    {"the async forms answer alike", the_async_forms_answer_alike},
    {NULL, NULL},
};
