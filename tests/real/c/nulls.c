/* NULL for every pointer argument of every function: a clear error, or the documented default of a getter; never a crash.
 * The suite checks that no function of natskv.h is missing here. */
#include "harness.h"

static natskv_error err;

static void on_reply(void *user, natskv_reply *reply)
{
    (void)reply;
    counter_add(user, 1);
}

/* Refused for the NULL, with and without somewhere to put the error. */
#define NULL_IS_REFUSED(call_with_err, call_without) \
    do { \
        CHECK_CODE(call_with_err, NATSKV_INVALID_ARGUMENT); \
        if (!strstr(err.message, "NULL")) FAIL("%s: the message is \"%s\"", #call_with_err, err.message); \
        CHECK_EQ(call_without, NATSKV_INVALID_ARGUMENT); \
    } while (0)
#define REFUSED(call) \
    do { \
        CHECK_EQ(call, NATSKV_INVALID_ARGUMENT); \
        natskv_last_error(&err); \
        if (!strstr(err.message, "NULL")) FAIL("%s: the message is \"%s\"", #call, err.message); \
    } while (0)

static natskv_client *client;
static natskv_kv *kv;

static void null_for_a_client(void)
{
    natskv_options options;
    natskv_statistics stats;
    natskv_client *other;
    char *json;
    uint64_t number;
    natskv_options_init(NULL);
    natskv_last_error(NULL);
    natskv_options_init(&options);
    options.url = shared.url;
    NULL_IS_REFUSED(natskv_connect(&options, NULL, &err), natskv_connect(&options, NULL, NULL));
    NULL_IS_REFUSED(natskv_connect_external(&options, NULL, &err), natskv_connect_external(&options, NULL, NULL));
    options.server_count = 1;
    NULL_IS_REFUSED(natskv_connect(&options, &other, &err), natskv_connect_external(&options, &other, NULL));
    CHECK_OK(natskv_connect_external(NULL, &other, &err)); /* all defaults; nothing is waited for */
    natskv_client_free(other);
    CHECK_EQ(natskv_fd(NULL), -1);
    CHECK_EQ(natskv_interest(NULL), 0);
    CHECK_EQ(natskv_timeout_ms(NULL), -1);
    REFUSED(natskv_process(NULL, 0));
    REFUSED(natskv_ready_async(NULL, 0, on_reply, NULL, NULL));
    REFUSED(natskv_ready_async(client, 0, NULL, NULL, NULL));
    REFUSED(natskv_op_cancel(NULL, 1));
    REFUSED(natskv_wake(NULL));
    NULL_IS_REFUSED(natskv_flush(NULL, 0, &err), natskv_flush(NULL, 0, NULL));
    REFUSED(natskv_flush_async(NULL, 0, on_reply, NULL, NULL));
    REFUSED(natskv_flush_async(client, 0, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_rtt_ns(NULL, 0, &number, &err), natskv_rtt_ns(client, 0, NULL, NULL));
    NULL_IS_REFUSED(natskv_drain(NULL, &err), natskv_drain(NULL, NULL));
    REFUSED(natskv_drain_async(NULL, on_reply, NULL, NULL));
    REFUSED(natskv_drain_async(client, NULL, NULL, NULL));
    REFUSED(natskv_close(NULL));
    natskv_client_free(NULL);
    CHECK_EQ(natskv_state(NULL), NATSKV_STATE_CLOSED);
    REFUSED(natskv_stats(NULL, &stats));
    REFUSED(natskv_stats(client, NULL));
    NULL_IS_REFUSED(natskv_server_info(NULL, &json, &err), natskv_server_info(client, NULL, NULL));
    CHECK(natskv_version() != NULL && natskv_code_name(0) != NULL);
    natskv_string_free(NULL);
}

static void null_for_buckets(void)
{
    natskv_config config;
    natskv_kv *out;
    natskv_keys_list *names;
    natskv_status_list *statuses;
    natskv_config_init(NULL);
    natskv_config_init(&config);
    NULL_IS_REFUSED(natskv_bucket_create(client, &config, &out, &err), natskv_bucket_create(client, &config, &out, NULL));
    config.bucket = "x";
    NULL_IS_REFUSED(natskv_bucket_create(NULL, &config, &out, &err), natskv_bucket_create(client, NULL, &out, NULL));
    NULL_IS_REFUSED(natskv_bucket_create(client, &config, NULL, &err), natskv_bucket_create(NULL, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_bucket_update(NULL, &config, &out, &err), natskv_bucket_update(client, NULL, &out, NULL));
    NULL_IS_REFUSED(natskv_bucket_update(client, &config, NULL, &err), natskv_bucket_update(NULL, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_bucket_create_or_update(NULL, &config, &out, &err), natskv_bucket_create_or_update(client, NULL, &out, NULL));
    NULL_IS_REFUSED(natskv_bucket_create_or_update(client, &config, NULL, &err), natskv_bucket_create_or_update(client, &config, NULL, NULL));
    NULL_IS_REFUSED(natskv_bucket_create_json(NULL, "{}", &out, &err), natskv_bucket_create_json(client, NULL, &out, NULL));
    NULL_IS_REFUSED(natskv_bucket_create_json(client, "{}", NULL, &err), natskv_bucket_create_json(client, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_bucket_open(NULL, "x", &out, &err), natskv_bucket_open(client, NULL, &out, NULL));
    NULL_IS_REFUSED(natskv_bucket_open(client, "x", NULL, &err), natskv_bucket_open(NULL, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_bucket_bind(NULL, "x", &out, &err), natskv_bucket_bind(client, NULL, &out, NULL));
    NULL_IS_REFUSED(natskv_bucket_bind(client, "x", NULL, &err), natskv_bucket_bind(NULL, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_bucket_create_json_with(NULL, "{}", NULL, &out, &err), natskv_bucket_create_json_with(client, NULL, NULL, &out, NULL));
    NULL_IS_REFUSED(natskv_bucket_open_with(NULL, "x", NULL, &out, &err), natskv_bucket_open_with(client, NULL, NULL, &out, NULL));
    NULL_IS_REFUSED(natskv_bucket_bind_with(NULL, "x", NULL, &out, &err), natskv_bucket_bind_with(client, NULL, NULL, &out, NULL));
    NULL_IS_REFUSED(natskv_bucket_delete(NULL, "x", &err), natskv_bucket_delete(client, NULL, NULL));
    NULL_IS_REFUSED(natskv_bucket_names(NULL, &names, &err), natskv_bucket_names(client, NULL, NULL));
    NULL_IS_REFUSED(natskv_bucket_list(NULL, &statuses, &err), natskv_bucket_list(client, NULL, NULL));
    REFUSED(natskv_bucket_create_async(NULL, &config, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_create_async(client, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_create_async(client, &config, NULL, NULL, NULL));
    REFUSED(natskv_bucket_create_json_async(NULL, "{}", on_reply, NULL, NULL));
    REFUSED(natskv_bucket_create_json_async(client, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_create_json_async(client, "{\"bucket\":\"x\"}", NULL, NULL, NULL));
    REFUSED(natskv_bucket_update_async(NULL, &config, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_update_async(client, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_update_async(client, &config, NULL, NULL, NULL));
    REFUSED(natskv_bucket_create_or_update_async(NULL, &config, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_create_or_update_async(client, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_create_or_update_async(client, &config, NULL, NULL, NULL));
    REFUSED(natskv_bucket_open_async(NULL, "x", on_reply, NULL, NULL));
    REFUSED(natskv_bucket_open_async(client, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_open_async(client, "x", NULL, NULL, NULL));
    REFUSED(natskv_bucket_create_json_with_async(NULL, "{}", NULL, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_open_with_async(NULL, "x", NULL, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_open_with_async(client, "x", NULL, NULL, NULL, NULL));
    REFUSED(natskv_bucket_delete_async(NULL, "x", on_reply, NULL, NULL));
    REFUSED(natskv_bucket_delete_async(client, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_delete_async(client, "x", NULL, NULL, NULL));
    REFUSED(natskv_bucket_names_async(NULL, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_names_async(client, NULL, NULL, NULL));
    REFUSED(natskv_bucket_list_async(NULL, on_reply, NULL, NULL));
    REFUSED(natskv_bucket_list_async(client, NULL, NULL, NULL));
    CHECK_TEXT(natskv_kv_bucket(NULL), "");
    REFUSED(natskv_kv_set_timeout_ms(NULL, 1));
    natskv_kv_free(NULL);

    /* inside of the struct */
    const char *holes[] = {"name", NULL};
    natskv_source nameless = {0};
    config.metadata = holes;
    config.metadata_count = 1;
    NULL_IS_REFUSED(natskv_bucket_create(client, &config, &out, &err), natskv_bucket_update(client, &config, &out, NULL));
    config.metadata = NULL;
    NULL_IS_REFUSED(natskv_bucket_create(client, &config, &out, &err), natskv_bucket_update(client, &config, &out, NULL));
    config.metadata_count = 0;
    config.placement_tag_count = 1;
    NULL_IS_REFUSED(natskv_bucket_create(client, &config, &out, &err), natskv_bucket_update(client, &config, &out, NULL));
    config.placement_tag_count = 0;
    config.source_count = 1;
    NULL_IS_REFUSED(natskv_bucket_create(client, &config, &out, &err), natskv_bucket_update(client, &config, &out, NULL));
    config.sources = &nameless;
    NULL_IS_REFUSED(natskv_bucket_create(client, &config, &out, &err), natskv_bucket_update(client, &config, &out, NULL));
    nameless.name = "y";
    nameless.transform_count = 1;
    NULL_IS_REFUSED(natskv_bucket_create(client, &config, &out, &err), natskv_bucket_update(client, &config, &out, NULL));
}

static void null_for_the_verbs(void)
{
    natskv_entry *entry;
    natskv_entries *entries;
    natskv_keys_list *keys;
    natskv_bucket_status *status;
    char *json;
    const char *hole[] = {NULL};
    uint64_t number;
    natskv_item item = {"a", "x", 1}, no_key = {NULL, "x", 1}, no_value = {"a", NULL, 1};
    natskv_result result = {NATSKV_OK, false, 7};
    natskv_write_options_init(NULL);
    NULL_IS_REFUSED(natskv_get(NULL, "a", &entry, &err), natskv_get(kv, NULL, &entry, NULL));
    NULL_IS_REFUSED(natskv_get(kv, "a", NULL, &err), natskv_get(NULL, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_get_revision(NULL, "a", 1, &entry, &err), natskv_get_revision(kv, NULL, 1, &entry, NULL));
    NULL_IS_REFUSED(natskv_get_revision(kv, "a", 1, NULL, &err), natskv_get_revision(NULL, NULL, 1, NULL, NULL));
    NULL_IS_REFUSED(natskv_get_entry(NULL, "a", &entry, &err), natskv_get_entry(kv, NULL, &entry, NULL));
    NULL_IS_REFUSED(natskv_get_entry(kv, "a", NULL, &err), natskv_get_entry(NULL, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_put(NULL, "a", "x", 1, NULL, &err), natskv_put(kv, NULL, "x", 1, NULL, NULL));
    NULL_IS_REFUSED(natskv_put(kv, "a", NULL, 1, NULL, &err), natskv_put(NULL, NULL, NULL, 1, NULL, NULL));
    NULL_IS_REFUSED(natskv_put_string(NULL, "a", "x", NULL, &err), natskv_put_string(kv, NULL, "x", NULL, NULL));
    NULL_IS_REFUSED(natskv_put_string(kv, "a", NULL, NULL, &err), natskv_put_string(NULL, NULL, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_create(NULL, "a", "x", 1, 0, NULL, &err), natskv_create(kv, NULL, "x", 1, 0, NULL, NULL));
    NULL_IS_REFUSED(natskv_create(kv, "a", NULL, 1, 0, NULL, &err), natskv_create(NULL, NULL, NULL, 1, 0, NULL, NULL));
    NULL_IS_REFUSED(natskv_update(NULL, "a", "x", 1, 1, NULL, &err), natskv_update(kv, NULL, "x", 1, 1, NULL, NULL));
    NULL_IS_REFUSED(natskv_update(kv, "a", NULL, 1, 1, NULL, &err), natskv_update(NULL, NULL, NULL, 1, 1, NULL, NULL));
    NULL_IS_REFUSED(natskv_delete(NULL, "a", NULL, NULL, &err), natskv_delete(kv, NULL, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_purge(NULL, "a", NULL, NULL, &err), natskv_purge(kv, NULL, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_keys(NULL, NULL, 0, &keys, &err), natskv_keys(kv, NULL, 0, NULL, NULL));
    NULL_IS_REFUSED(natskv_keys(kv, NULL, 1, &keys, &err), natskv_keys(kv, hole, 1, &keys, NULL));
    NULL_IS_REFUSED(natskv_history(NULL, "a", &entries, &err), natskv_history(kv, NULL, &entries, NULL));
    NULL_IS_REFUSED(natskv_history(kv, "a", NULL, &err), natskv_history(NULL, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_status(NULL, &status, &err), natskv_status(kv, NULL, NULL));
    NULL_IS_REFUSED(natskv_put_with(NULL, "a", "x", 1, NULL, NULL, &err), natskv_put_with(kv, NULL, "x", 1, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_put_with(kv, "a", NULL, 1, NULL, NULL, &err), natskv_put_with(NULL, NULL, NULL, 1, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_touch(NULL, "a", 1000, NULL, &err), natskv_touch(kv, NULL, 1000, NULL, NULL));
    NULL_IS_REFUSED(natskv_get_many(NULL, NULL, 0, &entries, &err), natskv_get_many(kv, NULL, 0, NULL, NULL));
    NULL_IS_REFUSED(natskv_get_many(kv, NULL, 1, &entries, &err), natskv_get_many(kv, hole, 1, &entries, NULL));
    NULL_IS_REFUSED(natskv_list_entries(NULL, NULL, 0, &entries, &err), natskv_list_entries(kv, NULL, 0, NULL, NULL));
    NULL_IS_REFUSED(natskv_list_entries(kv, NULL, 1, &entries, &err), natskv_list_entries(kv, hole, 1, &entries, NULL));
    NULL_IS_REFUSED(natskv_count(NULL, NULL, 0, &number, &err), natskv_count(kv, NULL, 0, NULL, NULL));
    NULL_IS_REFUSED(natskv_count(kv, NULL, 1, &number, &err), natskv_count(kv, hole, 1, &number, NULL));
    NULL_IS_REFUSED(natskv_put_many(NULL, &item, 1, &result, &err), natskv_put_many(kv, NULL, 1, NULL, NULL));
    CHECK_EQ(result.code, NATSKV_INVALID_ARGUMENT); /* the results say it too */
    NULL_IS_REFUSED(natskv_put_many(kv, &no_key, 1, NULL, &err), natskv_put_many(kv, &no_value, 1, &result, NULL));
    NULL_IS_REFUSED(natskv_clear(NULL, "a", NULL, NULL, NULL, &err), natskv_clear(kv, NULL, NULL, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_purge_deletes(NULL, 0, NULL, NULL, NULL, &err), natskv_purge_deletes(NULL, 0, NULL, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_execute(NULL, "{}", &json, &err), natskv_execute(kv, NULL, &json, NULL));
    NULL_IS_REFUSED(natskv_execute(kv, "{}", NULL, &err), natskv_execute(NULL, NULL, NULL, NULL));

    REFUSED(natskv_get_async(NULL, "a", on_reply, NULL, NULL));
    REFUSED(natskv_get_async(kv, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_get_async(kv, "a", NULL, NULL, NULL));
    REFUSED(natskv_get_revision_async(NULL, "a", 1, on_reply, NULL, NULL));
    REFUSED(natskv_get_revision_async(kv, NULL, 1, on_reply, NULL, NULL));
    REFUSED(natskv_get_revision_async(kv, "a", 1, NULL, NULL, NULL));
    REFUSED(natskv_get_entry_async(NULL, "a", on_reply, NULL, NULL));
    REFUSED(natskv_get_entry_async(kv, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_get_entry_async(kv, "a", NULL, NULL, NULL));
    REFUSED(natskv_put_async(NULL, "a", "x", 1, on_reply, NULL, NULL));
    REFUSED(natskv_put_async(kv, NULL, "x", 1, on_reply, NULL, NULL));
    REFUSED(natskv_put_async(kv, "a", NULL, 1, on_reply, NULL, NULL));
    REFUSED(natskv_put_async(kv, "a", "x", 1, NULL, NULL, NULL));
    REFUSED(natskv_put_string_async(NULL, "a", "x", on_reply, NULL, NULL));
    REFUSED(natskv_put_string_async(kv, NULL, "x", on_reply, NULL, NULL));
    REFUSED(natskv_put_string_async(kv, "a", NULL, on_reply, NULL, NULL));
    REFUSED(natskv_put_string_async(kv, "a", "x", NULL, NULL, NULL));
    REFUSED(natskv_create_async(NULL, "a", "x", 1, 0, on_reply, NULL, NULL));
    REFUSED(natskv_create_async(kv, NULL, "x", 1, 0, on_reply, NULL, NULL));
    REFUSED(natskv_create_async(kv, "a", NULL, 1, 0, on_reply, NULL, NULL));
    REFUSED(natskv_create_async(kv, "a", "x", 1, 0, NULL, NULL, NULL));
    REFUSED(natskv_update_async(NULL, "a", "x", 1, 1, on_reply, NULL, NULL));
    REFUSED(natskv_update_async(kv, NULL, "x", 1, 1, on_reply, NULL, NULL));
    REFUSED(natskv_update_async(kv, "a", NULL, 1, 1, on_reply, NULL, NULL));
    REFUSED(natskv_update_async(kv, "a", "x", 1, 1, NULL, NULL, NULL));
    REFUSED(natskv_delete_async(NULL, "a", NULL, on_reply, NULL, NULL));
    REFUSED(natskv_delete_async(kv, NULL, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_delete_async(kv, "a", NULL, NULL, NULL, NULL));
    REFUSED(natskv_purge_async(NULL, "a", NULL, on_reply, NULL, NULL));
    REFUSED(natskv_purge_async(kv, NULL, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_purge_async(kv, "a", NULL, NULL, NULL, NULL));
    REFUSED(natskv_keys_async(NULL, NULL, 0, on_reply, NULL, NULL));
    REFUSED(natskv_keys_async(kv, NULL, 1, on_reply, NULL, NULL));
    REFUSED(natskv_keys_async(kv, hole, 1, on_reply, NULL, NULL));
    REFUSED(natskv_keys_async(kv, NULL, 0, NULL, NULL, NULL));
    REFUSED(natskv_history_async(NULL, "a", on_reply, NULL, NULL));
    REFUSED(natskv_history_async(kv, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_history_async(kv, "a", NULL, NULL, NULL));
    REFUSED(natskv_status_async(NULL, on_reply, NULL, NULL));
    REFUSED(natskv_status_async(kv, NULL, NULL, NULL));
    REFUSED(natskv_put_with_async(NULL, "a", "x", 1, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_put_with_async(kv, NULL, "x", 1, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_put_with_async(kv, "a", NULL, 1, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_put_with_async(kv, "a", "x", 1, NULL, NULL, NULL, NULL));
    REFUSED(natskv_touch_async(NULL, "a", 1000, on_reply, NULL, NULL));
    REFUSED(natskv_touch_async(kv, NULL, 1000, on_reply, NULL, NULL));
    REFUSED(natskv_touch_async(kv, "a", 1000, NULL, NULL, NULL));
    REFUSED(natskv_get_many_async(NULL, NULL, 0, on_reply, NULL, NULL));
    REFUSED(natskv_get_many_async(kv, NULL, 1, on_reply, NULL, NULL));
    REFUSED(natskv_get_many_async(kv, hole, 1, on_reply, NULL, NULL));
    REFUSED(natskv_get_many_async(kv, NULL, 0, NULL, NULL, NULL));
    REFUSED(natskv_list_entries_async(NULL, NULL, 0, on_reply, NULL, NULL));
    REFUSED(natskv_list_entries_async(kv, hole, 1, on_reply, NULL, NULL));
    REFUSED(natskv_list_entries_async(kv, NULL, 0, NULL, NULL, NULL));
    REFUSED(natskv_count_async(NULL, NULL, 0, on_reply, NULL, NULL));
    REFUSED(natskv_count_async(kv, hole, 1, on_reply, NULL, NULL));
    REFUSED(natskv_count_async(kv, NULL, 0, NULL, NULL, NULL));
    REFUSED(natskv_put_many_async(NULL, &item, 1, on_reply, NULL, NULL));
    REFUSED(natskv_put_many_async(kv, NULL, 1, on_reply, NULL, NULL));
    REFUSED(natskv_put_many_async(kv, &no_key, 1, on_reply, NULL, NULL));
    REFUSED(natskv_put_many_async(kv, &item, 1, NULL, NULL, NULL));
    REFUSED(natskv_clear_async(NULL, "a", NULL, on_reply, NULL, NULL));
    REFUSED(natskv_clear_async(kv, NULL, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_clear_async(kv, "a", NULL, NULL, NULL, NULL));
    REFUSED(natskv_purge_deletes_async(NULL, 0, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_purge_deletes_async(kv, 0, NULL, NULL, NULL, NULL));
    REFUSED(natskv_execute_async(NULL, "{}", on_reply, NULL, NULL));
    REFUSED(natskv_execute_async(kv, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_execute_async(kv, "{}", NULL, NULL, NULL));
}

static void drop_counter(void *user)
{
    counter_add(user, 1);
}

static void null_for_watchers(void)
{
    struct counter dropped = COUNTER;
    natskv_watcher *watcher;
    natskv_entry *entry;
    natskv_watch_options options;
    const char *hole[] = {NULL};
    natskv_watch_options_init(NULL);
    NULL_IS_REFUSED(natskv_watch(NULL, NULL, 0, NULL, &watcher, &err), natskv_watch(kv, NULL, 0, NULL, NULL, NULL));
    NULL_IS_REFUSED(natskv_watch(kv, NULL, 1, NULL, &watcher, &err), natskv_watch(kv, hole, 1, NULL, &watcher, NULL));
    REFUSED(natskv_watch_async(NULL, NULL, 0, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_watch_async(kv, NULL, 1, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_watch_async(kv, hole, 1, NULL, on_reply, NULL, NULL));
    REFUSED(natskv_watch_async(kv, NULL, 0, NULL, NULL, NULL, NULL));
    natskv_watch_options_init(&options);
    options.user = &dropped;
    options.drop = drop_counter;
    REFUSED(natskv_watch(kv, NULL, 0, &options, NULL, NULL)); /* `user` is given back all the same */
    REFUSED(natskv_watch_async(kv, NULL, 0, &options, NULL, NULL, NULL));
    CHECK_EQ(counter_get(&dropped), 2);
    CHECK_OK(natskv_watch(kv, NULL, 0, NULL, &watcher, &err));
    NULL_IS_REFUSED(natskv_watcher_next(NULL, 0, &entry, &err), natskv_watcher_next(watcher, 0, NULL, NULL));
    REFUSED(natskv_watcher_stop(NULL));
    natskv_watcher_free(NULL);
    natskv_watcher_free(watcher);
}

static void null_for_getters(void)
{
    natskv_slice name, value;
    const char *text = "untouched", *other = text;
    natskv_entry *entry;
    CHECK_OK(natskv_put_string(kv, "a", "1", NULL, &err));
    CHECK_OK(natskv_get(kv, "a", &entry, &err));
    CHECK_TEXT(natskv_entry_bucket(NULL), "");
    CHECK_TEXT(natskv_entry_key(NULL), "");
    CHECK(natskv_entry_value(NULL).data == NULL && natskv_entry_value(NULL).len == 0);
    CHECK_EQ(natskv_entry_length(NULL), 0);
    CHECK_EQ(natskv_entry_revision(NULL), 0);
    CHECK_EQ(natskv_entry_created_ns(NULL), 0);
    CHECK_EQ(natskv_entry_delta(NULL), 0);
    CHECK_EQ(natskv_entry_operation(NULL), NATSKV_PUT);
    CHECK_TEXT(natskv_operation_name(9), "UNKNOWN");
    CHECK_TEXT(natskv_entry_raw_key(NULL), "");
    CHECK_EQ(natskv_entry_ttl_ms(NULL), 0);
    CHECK_EQ(natskv_entry_expires_ns(NULL), 0);
    CHECK_EQ(natskv_entry_remaining_ms(NULL), -1);
    CHECK(natskv_entry_marker_reason(NULL).data == NULL);
    CHECK_EQ(natskv_entry_header_count(NULL), 0);
    CHECK(!natskv_entry_header_at(NULL, 0, &name, &value));
    if (natskv_entry_header_count(entry) > 0)
        CHECK(natskv_entry_header_at(entry, 0, NULL, NULL));
    CHECK(natskv_entry_header(NULL, "x").data == NULL);
    CHECK(natskv_entry_header(entry, NULL).data == NULL);
    natskv_entry_free(NULL);
    natskv_entry_free(entry);
    CHECK_EQ(natskv_entries_count(NULL), 0);
    CHECK(natskv_entries_at(NULL, 0) == NULL);
    CHECK_EQ(natskv_entries_as_of(NULL), 0);
    natskv_entries_free(NULL);
    CHECK_EQ(natskv_keys_list_count(NULL), 0);
    CHECK(natskv_keys_list_at(NULL, 0) == NULL);
    natskv_keys_list_free(NULL);
    CHECK_TEXT(natskv_status_bucket(NULL), "");
    CHECK_TEXT(natskv_status_description(NULL), "");
    CHECK_EQ(natskv_status_values(NULL), 0);
    CHECK_EQ(natskv_status_history(NULL), 0);
    CHECK_EQ(natskv_status_ttl_ms(NULL), 0);
    CHECK_EQ(natskv_status_limit_marker_ttl_ms(NULL), 0);
    CHECK_EQ(natskv_status_bytes(NULL), 0);
    CHECK_EQ(natskv_status_max_bytes(NULL), -1);
    CHECK_EQ(natskv_status_max_value_size(NULL), -1);
    CHECK_EQ(natskv_status_replicas(NULL), 0);
    CHECK_EQ(natskv_status_storage(NULL), NATSKV_STORAGE_DEFAULT);
    CHECK(!natskv_status_compressed(NULL));
    CHECK_EQ(natskv_status_key_policy(NULL), NATSKV_KEYS_AS_BUCKET);
    CHECK_TEXT(natskv_status_read_only(NULL), "");
    CHECK_EQ(natskv_kv_key_policy(NULL), NATSKV_KEYS_AS_BUCKET);
    CHECK(!natskv_kv_read_only(NULL));
    CHECK_EQ(natskv_kv_drift_count(NULL), 0);
    CHECK(natskv_kv_drift_at(NULL, 0) == NULL);
    CHECK(natskv_kv_drift_at(kv, 0) == NULL);
    natskv_handle_options_init(NULL);
    CHECK_EQ(natskv_status_metadata_count(NULL), 0);
    CHECK(!natskv_status_metadata_at(NULL, 0, &text, &other) && text == other);
    natskv_bucket_status *status;
    CHECK_OK(natskv_status(kv, &status, &err));
    if (natskv_status_metadata_count(status) > 0)
        CHECK(natskv_status_metadata_at(status, 0, NULL, NULL));
    natskv_status_free(status);
    CHECK_TEXT(natskv_status_json(NULL), "");
    CHECK_TEXT(natskv_status_stream_info_json(NULL), "");
    natskv_status_free(NULL);
    CHECK_EQ(natskv_status_list_count(NULL), 0);
    CHECK(natskv_status_list_at(NULL, 0) == NULL);
    natskv_status_list_free(NULL);
}

static void null_everywhere(void)
{
    client = client_of(&shared);
    kv = fresh_bucket(client, "nulls", "");
    null_for_a_client();
    null_for_buckets();
    null_for_the_verbs();
    null_for_watchers();
    null_for_getters();
    CHECK_OK(natskv_put_string(kv, "a", "still here", NULL, &err));
    natskv_kv_free(kv);
    natskv_client_free(client);
}

const struct test null_tests[] = {
    {"NULL for every pointer of every function", null_everywhere},
    {NULL, NULL},
};
