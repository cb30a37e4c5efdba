/* The blocking calls: what the scenarios do not say, and what only C has. */
#include "harness.h"
#include "scenarios.h"

#include <stdlib.h>

static natskv_error err;

static void codes_are_those_of_every_language(void)
{
    for (size_t i = 0; i < code_row_count; i++) {
        CHECK_EQ(code_rows[i].code, code_rows[i].number);
        CHECK_TEXT(natskv_code_name(code_rows[i].number), code_rows[i].name);
    }
    CHECK_TEXT(natskv_code_name(NATSKV_OK), "NATSKV_OK");
    CHECK_TEXT(natskv_code_name(NATSKV_CAUGHT_UP), "NATSKV_CAUGHT_UP");
    CHECK_TEXT(natskv_code_name(NATSKV_RESET), "NATSKV_RESET");
    CHECK_TEXT(natskv_code_name(8), "NATSKV_UNKNOWN");
    CHECK_TEXT(natskv_code_name(-1), "NATSKV_UNKNOWN");
}

static void the_library_says_its_version(void)
{
    CHECK_TEXT(natskv_version(), NATSKV_VERSION);
}

static void a_client_tells_of_itself(void)
{
    natskv_client *client = client_of(&shared);
    natskv_statistics stats;
    uint64_t rtt = 0;
    char *info;
    CHECK_OK(natskv_flush(client, 0, &err));
    CHECK_OK(natskv_rtt_ns(client, 0, &rtt, &err));
    CHECK(rtt > 1000 && rtt < 5000000000u);
    CHECK_EQ(natskv_state(client), NATSKV_STATE_CONNECTED);
    CHECK_OK(natskv_stats(client, &stats));
    CHECK_EQ(stats.reconnects, 0);
    CHECK_OK(natskv_server_info(client, &info, &err));
    CHECK(strstr(info, "\"max_payload\"") != NULL);
    natskv_string_free(info);
    natskv_client_free(client);
}

static void options_that_cannot_be(void)
{
    natskv_client *client = NULL;
    natskv_options options;
    natskv_options_init(&options);
    const char *servers[] = {"nats://127.0.0.1:4222", "wss://127.0.0.1"};
    options.servers = servers;
    options.server_count = 2;
    CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_INVALID_ARGUMENT, "cannot be mixed");
    natskv_options_init(&options);
    options.connect_timeout_ms = -5;
    CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_INVALID_ARGUMENT, "connect_timeout_ms", "-5");
    natskv_options_init(&options);
    options.request_timeout_ms = INT64_MAX;
    CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_INVALID_ARGUMENT, "request_timeout_ms", "100 years");
    natskv_options_init(&options);
    options.name = "\xff";
    CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_INVALID_ARGUMENT, "name", "UTF-8");
    natskv_options_init(&options);
    options.struct_size = 0;
    CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_INVALID_ARGUMENT, "natskv_options_init");
    natskv_options_init(&options);
    options.url = "nats://127.0.0.1:1"; /* nobody listens there */
    CHECK_CODE(natskv_connect(&options, &client, &err), NATSKV_CONNECT_FAILED);
    options.url = "nats://no-such-host.invalid";
    CHECK_CODE(natskv_connect(&options, &client, &err), NATSKV_CONNECT_FAILED);
    CHECK(client == NULL);
}

/* A struct of an older version of the header is shorter; one of a newer version may hold what this library does not know. */
static void structs_of_other_versions(void)
{
    struct {
        natskv_write_options known;
        uint64_t newer;
    } options = {{0}, 0};
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "versions", "");
    uint64_t revision;
    CHECK_OK(natskv_put_string(kv, "a", "1", &revision, &err));
    natskv_write_options_init(&options.known);
    options.known.expected_revision = revision + 1;
    options.known.struct_size = sizeof(size_t); /* so short that the revision is not in it */
    CHECK_OK(natskv_delete(kv, "a", &options.known, &revision, &err));
    options.known.struct_size = sizeof options;
    options.known.expected_revision = revision;
    CHECK_OK(natskv_delete(kv, "a", &options.known, NULL, &err));
    options.newer = 1;
    CHECK_CODE(natskv_delete(kv, "a", &options.known, NULL, &err), NATSKV_UNSUPPORTED);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

/* C's `= {0}` with the size set by hand, instead of the _init functions. */
static void zeroed_structs_are_defaults(void)
{
    natskv_options options = {0};
    natskv_config config = {0};
    natskv_write_options write = {0};
    natskv_watch_options watch = {0};
    natskv_client *client;
    natskv_kv *kv, *same;
    natskv_watcher *watcher;
    natskv_entry *entry;
    options.struct_size = sizeof options;
    options.url = shared.url;
    CHECK_OK(natskv_connect(&options, &client, &err));
    config.struct_size = sizeof config;
    config.bucket = "zeroed";
    CHECK_OK(natskv_bucket_create(client, &config, &kv, &err));
    natskv_config_init(&config);
    config.bucket = "zeroed";
    CHECK_OK(natskv_bucket_create(client, &config, &same, &err));
    natskv_kv_free(same);
    CHECK_OK(natskv_put_string(kv, "a", "1", NULL, &err));
    watch.struct_size = sizeof watch;
    CHECK_OK(natskv_watch(kv, NULL, 0, &watch, &watcher, &err));
    CHECK_OK(natskv_watcher_next(watcher, 5000, &entry, &err));
    CHECK(is_value(entry, "1"));
    natskv_entry_free(entry);
    CHECK_CODE(natskv_watcher_next(watcher, 5000, &entry, &err), NATSKV_CAUGHT_UP);
    natskv_watcher_free(watcher);
    write.struct_size = sizeof write;
    CHECK_OK(natskv_purge(kv, "a", &write, NULL, &err));
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void an_entry_shows_all_it_has(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "entries", ",\"history\":3,\"limit_marker_ttl\":60000000000");
    natskv_entry *entry;
    natskv_slice name, value;
    CHECK_OK(natskv_create(kv, "a.b", "hello", 5, 3600000, NULL, &err));
    CHECK_OK(natskv_get(kv, "a.b", &entry, &err));
    CHECK_TEXT(natskv_entry_bucket(entry), "entries");
    CHECK_TEXT(natskv_entry_key(entry), "a.b");
    CHECK(is_value(entry, "hello"));
    CHECK_EQ(natskv_entry_length(entry), 5);
    CHECK_EQ(natskv_entry_revision(entry), 1);
    CHECK_EQ(natskv_entry_delta(entry), 0);
    CHECK_EQ(natskv_entry_operation(entry), NATSKV_PUT);
    CHECK(natskv_entry_created_ns(entry) > 1700000000000000000);
    CHECK_TEXT(natskv_entry_raw_key(entry), "a.b");
    CHECK_EQ(natskv_entry_ttl_ms(entry), 3600000);
    CHECK_EQ(natskv_entry_expires_ns(entry), natskv_entry_created_ns(entry) + 3600000000000);
    CHECK(natskv_entry_remaining_ms(entry) > 3500000 && natskv_entry_remaining_ms(entry) <= 3600000);
    CHECK(natskv_entry_header(entry, "Nats-TTL").len > 0);
    CHECK(natskv_entry_header(entry, "nats-ttl").data == NULL);
    CHECK(natskv_entry_marker_reason(entry).data == NULL);
    CHECK(natskv_entry_header_count(entry) > 0);
    for (size_t i = 0; i < natskv_entry_header_count(entry); i++)
        CHECK(natskv_entry_header_at(entry, i, &name, &value) && name.len > 0);
    CHECK(!natskv_entry_header_at(entry, natskv_entry_header_count(entry), &name, &value));
    natskv_kv_free(kv); /* the entry owns its bytes */
    natskv_client_free(client);
    CHECK(is_value(entry, "hello"));
    CHECK_TEXT(natskv_entry_bucket(entry), "entries");
    natskv_entry_free(entry);
}

static void a_status_shows_all_it_has(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv;
    natskv_config config;
    const char *metadata[] = {"owner", "me", "purpose", "test"};
    natskv_bucket_delete(client, "statuses", NULL);
    natskv_config_init(&config);
    config.bucket = "statuses";
    config.description = "what it is";
    config.history = 7;
    config.ttl_ms = 60000;
    config.max_bytes = 1 << 20;
    config.max_value_size = 4096;
    config.storage = NATSKV_STORAGE_MEMORY;
    config.metadata = metadata;
    config.metadata_count = 2;
    CHECK_OK(natskv_bucket_create(client, &config, &kv, &err));
    CHECK_OK(natskv_put_string(kv, "a", "1", NULL, &err));
    natskv_bucket_status *status;
    CHECK_OK(natskv_status(kv, &status, &err));
    CHECK_TEXT(natskv_status_bucket(status), "statuses");
    CHECK_TEXT(natskv_status_description(status), "what it is");
    CHECK_EQ(natskv_status_values(status), 1);
    CHECK_EQ(natskv_status_history(status), 7);
    CHECK_EQ(natskv_status_ttl_ms(status), 60000);
    CHECK_EQ(natskv_status_limit_marker_ttl_ms(status), 0);
    CHECK_EQ(natskv_status_max_bytes(status), 1 << 20);
    CHECK_EQ(natskv_status_max_value_size(status), 4096);
    CHECK_EQ(natskv_status_replicas(status), 1);
    CHECK_EQ(natskv_status_storage(status), NATSKV_STORAGE_MEMORY);
    CHECK(!natskv_status_compressed(status));
    CHECK(natskv_status_bytes(status) > 0);
    CHECK(strstr(natskv_status_json(status), "\"backing_store\":\"JetStream\"") != NULL);
    CHECK(strstr(natskv_status_stream_info_json(status), "KV_statuses") != NULL);
    int own = 0;
    const char *name, *value;
    for (size_t i = 0; natskv_status_metadata_at(status, i, &name, &value); i++)
        own += strcmp(name, "owner") == 0 && strcmp(value, "me") == 0;
    CHECK_EQ(own, 1);
    natskv_status_free(status);

    natskv_status_list *list;
    CHECK_OK(natskv_bucket_list(client, &list, &err));
    int found = 0;
    for (size_t i = 0; i < natskv_status_list_count(list); i++)
        found += strcmp(natskv_status_bucket(natskv_status_list_at(list, i)), "statuses") == 0;
    CHECK_EQ(found, 1);
    CHECK(natskv_status_list_at(list, natskv_status_list_count(list)) == NULL);
    natskv_status_list_free(list);
    CHECK_OK(natskv_bucket_delete(client, "statuses", &err));
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void json_operations(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "json", "");
    char *reply;
    CHECK_OK(natskv_execute(kv, "{\"operation\":\"PUT\",\"key\":\"a\",\"value\":\"aGVsbG8=\"}", &reply, &err));
    CHECK(strstr(reply, "\"revision\":1") != NULL);
    natskv_string_free(reply);
    CHECK_OK(natskv_execute(kv, "{\"operation\":\"GET\",\"key\":\"a\"}", &reply, &err));
    CHECK(strstr(reply, "aGVsbG8=") != NULL);
    natskv_string_free(reply);
    CHECK_OK(natskv_execute(kv, "{\"operation\":\"GET\",\"key\":\"b\"}", &reply, &err));
    CHECK(strstr(reply, "10037") != NULL);
    natskv_string_free(reply);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void an_empty_value_is_a_value(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "empty", "");
    natskv_entry *entry;
    CHECK_OK(natskv_put(kv, "a", NULL, 0, NULL, &err));
    CHECK_OK(natskv_get(kv, "a", &entry, &err));
    CHECK_EQ(natskv_entry_value(entry).len, 0);
    CHECK_EQ(natskv_entry_operation(entry), NATSKV_PUT);
    natskv_entry_free(entry);
    CHECK_CODE(natskv_create(kv, "a", NULL, 0, 0, NULL, &err), NATSKV_KEY_EXISTS);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void a_history_of_64_revisions(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "history64", ",\"history\":64");
    natskv_entries *entries;
    char value[16];
    for (int i = 1; i <= 70; i++) {
        snprintf(value, sizeof value, "%d", i);
        CHECK_OK(natskv_put_string(kv, "a", value, NULL, &err));
    }
    CHECK_OK(natskv_history(kv, "a", &entries, &err));
    CHECK_EQ(natskv_entries_count(entries), 64);
    for (size_t i = 0; i < 64; i++) {
        snprintf(value, sizeof value, "%zu", i + 7);
        CHECK(is_value(natskv_entries_at(entries, i), value));
        CHECK_EQ(natskv_entry_revision(natskv_entries_at(entries, i)), i + 7);
    }
    CHECK(natskv_entries_at(entries, 64) == NULL);
    natskv_entries_free(entries);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static uint64_t messages_out(natskv_client *client)
{
    natskv_statistics stats;
    CHECK_EQ(natskv_stats(client, &stats), NATSKV_OK);
    return stats.out_msgs;
}

static void a_mebibyte_goes_and_a_byte_more_does_not(void)
{
    enum { MIB = 1 << 20 };
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "large", "");
    char *value = malloc(MIB + 1);
    memset(value, 'v', MIB + 1);
    natskv_entry *entry;
    CHECK_OK(natskv_put(kv, "a", value, MIB, NULL, &err));
    CHECK_OK(natskv_get(kv, "a", &entry, &err));
    CHECK_EQ(natskv_entry_value(entry).len, MIB);
    CHECK(memcmp(natskv_entry_value(entry).data, value, MIB) == 0);
    natskv_entry_free(entry);
    uint64_t sent = messages_out(client);
    CHECK_SAYS(natskv_create(kv, "b", value, MIB, 0, NULL, &err), NATSKV_TOO_LARGE, "1048576");
    CHECK_SAYS(natskv_put(kv, "b", value, MIB + 1, NULL, &err), NATSKV_TOO_LARGE, "1048577", "1048576");
    CHECK_EQ(messages_out(client), sent);
    CHECK_CODE(natskv_get(kv, "b", &entry, &err), NATSKV_KEY_NOT_FOUND);
    free(value);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void bad_input_is_refused_before_anything_is_sent(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "bad", ",\"max_value_size\":100"), *other = NULL;
    natskv_entry *entry = NULL;
    natskv_watcher *watcher = NULL;
    natskv_keys_list *list = NULL;
    natskv_config config;
    char *reply, value[200] = "";
    CHECK_OK(natskv_flush(client, 0, &err));
    uint64_t sent = messages_out(client);

    static const char *const keys[] = {"a..b", ".a", "a.", "a b", "a\r\nPUB x 0", "user:12345", "", "a*", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        CHECK_CODE(natskv_put_string(kv, keys[i], "x", NULL, &err), NATSKV_INVALID_KEY);
        CHECK_CODE(natskv_get(kv, keys[i], &entry, &err), NATSKV_INVALID_KEY);
        CHECK_CODE(natskv_create(kv, keys[i], "x", 1, 0, NULL, &err), NATSKV_INVALID_KEY);
        CHECK_CODE(natskv_update(kv, keys[i], "x", 1, 1, NULL, &err), NATSKV_INVALID_KEY);
        CHECK_CODE(natskv_delete(kv, keys[i], NULL, NULL, &err), NATSKV_INVALID_KEY);
        CHECK_CODE(natskv_purge(kv, keys[i], NULL, NULL, &err), NATSKV_INVALID_KEY);
    }
    CHECK_SAYS(natskv_put_string(kv, "user:12345", "x", NULL, &err), NATSKV_INVALID_KEY, "\"user:12345\"", "':'", "byte 4");
    CHECK_SAYS(natskv_put_string(kv, "a..b", "x", NULL, &err), NATSKV_INVALID_KEY, "\"a..b\"", "empty token at byte 2");
    CHECK_SAYS(natskv_put_string(kv, "_kv.x", "x", NULL, &err), NATSKV_INVALID_KEY, "_kv");
    CHECK_CODE(natskv_put_string(kv, "\xff\xfe", "x", NULL, &err), NATSKV_INVALID_ARGUMENT);
    const char *filters[] = {"a..b"};
    CHECK_CODE(natskv_watch(kv, filters, 1, NULL, &watcher, &err), NATSKV_INVALID_KEY);
    CHECK_CODE(natskv_keys(kv, filters, 1, &list, &err), NATSKV_INVALID_KEY);
    CHECK_SAYS(natskv_update(kv, "a", "x", 1, 0, NULL, &err), NATSKV_INVALID_ARGUMENT, "create");
    CHECK_CODE(natskv_get_revision(kv, "a", 0, &entry, &err), NATSKV_INVALID_ARGUMENT);
    CHECK_CODE(natskv_create(kv, "a", "x", 1, -1, NULL, &err), NATSKV_INVALID_ARGUMENT);
    CHECK_CODE(natskv_purge_deletes(kv, -2, NULL, NULL, NULL, &err), NATSKV_INVALID_ARGUMENT);
    CHECK_OK(natskv_execute(kv, "not json", &reply, &err));
    CHECK(strstr(reply, "INVALID_ARGUMENT") != NULL);
    natskv_string_free(reply);
    natskv_write_options options;
    natskv_write_options_init(&options);
    options.ttl_ms = 1000;
    CHECK_SAYS(natskv_delete(kv, "a", &options, NULL, &err), NATSKV_INVALID_ARGUMENT, "natskv_purge");

    CHECK_CODE(natskv_bucket_open(client, "a.b", &other, &err), NATSKV_INVALID_BUCKET);
    CHECK_CODE(natskv_bucket_bind(client, "a.b", &other, &err), NATSKV_INVALID_BUCKET);
    CHECK_SAYS(natskv_bucket_create_json(client, "{\"bucket\":\"x\",\"histroy\":5}", &other, &err), NATSKV_INVALID_ARGUMENT, "histroy");
    natskv_config_init(&config);
    config.bucket = "x";
    config.history = 65;
    CHECK_SAYS(natskv_bucket_create(client, &config, &other, &err), NATSKV_HISTORY_TOO_LARGE, "65", "64");
    config.history = 1000;
    CHECK_SAYS(natskv_bucket_create(client, &config, &other, &err), NATSKV_HISTORY_TOO_LARGE, "1000", "64");
    config.history = -1;
    CHECK_CODE(natskv_bucket_create(client, &config, &other, &err), NATSKV_INVALID_ARGUMENT);
    config.history = 0;
    config.republish_src = ">"; /* no server accepts this; the message gives the pair that works */
    config.republish_dest = "kv.config.{{wildcard(1)}}";
    CHECK_SAYS(natskv_bucket_create(client, &config, &other, &err), NATSKV_INVALID_ARGUMENT, "$KV.x.", "kv.config.");
    config.republish_src = NULL;
    CHECK_CODE(natskv_bucket_create(client, &config, &other, &err), NATSKV_INVALID_ARGUMENT);
    config.republish_dest = NULL;
    config.storage = 3;
    CHECK_SAYS(natskv_bucket_create(client, &config, &other, &err), NATSKV_INVALID_ARGUMENT, "storage is 3");
    config.storage = 0;
    config.compression = 7;
    CHECK_CODE(natskv_bucket_create(client, &config, &other, &err), NATSKV_INVALID_ARGUMENT);
    config.compression = -1;
    config.ttl_ms = -2;
    CHECK_CODE(natskv_bucket_create(client, &config, &other, &err), NATSKV_INVALID_ARGUMENT);
    CHECK_SAYS(natskv_put(kv, "a", value, sizeof value, NULL, &err), NATSKV_TOO_LARGE, "100");

    CHECK_EQ(messages_out(client), sent);
    CHECK(!entry && !watcher && !list && !other);
    CHECK_OK(natskv_put_string(kv, "a", "still here", NULL, &err));
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void never(void *user, natskv_reply *reply)
{
    (void)user, (void)reply;
    fprintf(stderr, "a callback of a refused call\n");
    abort();
}

static void bad_input_of_the_async_forms_is_refused_too(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "badasync", "");
    natskv_op op = 77;
    CHECK_EQ(natskv_put_string_async(kv, "a..b", "x", never, NULL, &op), NATSKV_INVALID_KEY);
    natskv_last_error(&err);
    CHECK_EQ(err.code, NATSKV_INVALID_KEY);
    CHECK(strstr(err.message, "\"a..b\"") != NULL);
    CHECK_EQ(op, 77);
    CHECK_EQ(natskv_put_string_async(kv, "a", "x", NULL, NULL, &op), NATSKV_INVALID_ARGUMENT);
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void sources_and_placement_reach_the_server(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *from = fresh_bucket(client, "from", ""), *into;
    natskv_source source = {0};
    natskv_config config;
    natskv_entry *entry;
    CHECK_OK(natskv_put_string(from, "a", "1", NULL, &err));
    natskv_bucket_delete(client, "into", NULL);
    natskv_config_init(&config);
    config.bucket = "into";
    config.storage = NATSKV_STORAGE_MEMORY;
    source.name = "from";
    config.mirror = &source;
    CHECK_OK(natskv_bucket_create(client, &config, &into, &err));
    natskv_code code = NATSKV_KEY_NOT_FOUND;
    for (double until = seconds() + 20; code == NATSKV_KEY_NOT_FOUND && seconds() < until; nap_ms(10))
        code = natskv_get(into, "a", &entry, &err);
    CHECK_CODE(code, NATSKV_OK);
    CHECK(is_value(entry, "1"));
    natskv_entry_free(entry);
    natskv_kv_free(into);
    CHECK_OK(natskv_bucket_delete(client, "into", &err));
    config.mirror = NULL;
    const char *tags[] = {"ssd"};
    config.placement_tags = tags;
    config.placement_tag_count = 1;
    natskv_bucket_status *status;
    CHECK_OK(natskv_bucket_create(client, &config, &into, &err)); /* one server alone does not mind its missing tags */
    CHECK_OK(natskv_status(into, &status, &err));
    CHECK(strstr(natskv_status_json(status), "\"ssd\"") != NULL);
    natskv_status_free(status);
    CHECK_OK(natskv_bucket_delete(client, "into", &err));
    natskv_kv_free(into);
    natskv_kv_free(from);
    natskv_client_free(client);
}

static void timeouts_of_the_handle(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "timeouts", "");
    CHECK_EQ(natskv_kv_set_timeout_ms(kv, -1), NATSKV_INVALID_ARGUMENT);
    CHECK_EQ(natskv_kv_set_timeout_ms(kv, INT64_MAX), NATSKV_INVALID_ARGUMENT);
    CHECK_EQ(natskv_kv_set_timeout_ms(kv, 2000), NATSKV_OK);
    CHECK_OK(natskv_put_string(kv, "a", "1", NULL, &err));
    natskv_kv_free(kv);
    natskv_client_free(client);
}

static void after_the_end_everything_is_closed(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "ends", "");
    natskv_watcher *watcher;
    natskv_entry *entry;
    CHECK_OK(natskv_watch(kv, NULL, 0, NULL, &watcher, &err));
    CHECK_OK(natskv_drain(client, &err));
    CHECK_EQ(natskv_state(client), NATSKV_STATE_CLOSED);
    CHECK_CODE(natskv_put_string(kv, "a", "1", NULL, &err), NATSKV_CLOSED);
    CHECK_EQ(natskv_close(client), NATSKV_OK);
    CHECK_OK(natskv_drain(client, &err));
    natskv_client_free(client);
    CHECK_CODE(natskv_put_string(kv, "a", "1", NULL, &err), NATSKV_CLOSED);
    natskv_code code;
    while ((code = natskv_watcher_next(watcher, 1000, &entry, &err)) == NATSKV_CAUGHT_UP) {
    }
    CHECK_CODE(code, NATSKV_CLOSED);
    CHECK_CODE(natskv_watcher_next(watcher, -1, &entry, &err), NATSKV_CLOSED);
    natskv_watcher_free(watcher);
    natskv_kv_free(kv);
}

const struct test verb_tests[] = {
    {"codes are those of every language", codes_are_those_of_every_language},
    {"the library says its version", the_library_says_its_version},
    {"a client tells of itself", a_client_tells_of_itself},
    {"options that cannot be", options_that_cannot_be},
    {"structs of other versions", structs_of_other_versions},
    {"zeroed structs are defaults", zeroed_structs_are_defaults},
    {"an entry shows all it has", an_entry_shows_all_it_has},
    {"a status shows all it has", a_status_shows_all_it_has},
    {"JSON operations", json_operations},
    {"an empty value is a value", an_empty_value_is_a_value},
    {"a history of 64 revisions", a_history_of_64_revisions},
    {"a mebibyte goes and a byte more does not", a_mebibyte_goes_and_a_byte_more_does_not},
    {"bad input is refused before anything is sent", bad_input_is_refused_before_anything_is_sent},
    {"bad input of the async forms is refused too", bad_input_of_the_async_forms_is_refused_too},
    {"sources and placement reach the server", sources_and_placement_reach_the_server},
    {"timeouts of the handle", timeouts_of_the_handle},
    {"after the end everything is closed", after_the_end_everything_is_closed},
    {NULL, NULL},
};
