/* What bucket handles can be like: which keys they take, what they refuse, what they find when they create. */
#include "harness.h"

static natskv_error err;

static natskv_config config_of(const char *bucket)
{
    natskv_config config;
    natskv_config_init(&config);
    config.bucket = bucket;
    config.storage = NATSKV_STORAGE_MEMORY;
    return config;
}

static natskv_handle_options handle(void)
{
    natskv_handle_options options;
    natskv_handle_options_init(&options);
    return options;
}

static void check_stored(natskv_kv *kv, const char *key, const char *raw_key)
{
    natskv_entry *entry;
    CHECK_OK(natskv_put_string(kv, key, "x", NULL, &err));
    CHECK_OK(natskv_get(kv, key, &entry, &err));
    CHECK_TEXT(natskv_entry_key(entry), key);
    CHECK_TEXT(natskv_entry_raw_key(entry), raw_key);
    natskv_entry_free(entry);
}

static void a_codec_is_recorded_and_obeyed(void)
{
    static const struct {
        natskv_key_policy codec;
        const char *key, *raw_key;
    } rows[] = {
        {NATSKV_KEYS_ESCAPE, "user:1.\xc3\xa9 x", "user=3A1.=C3=A9=20x"},
        {NATSKV_KEYS_BASE64, "a b.c", "YSBi.Yw"},
        {NATSKV_KEYS_PATH, "/a/b", "_root_.a.b"},
    };
    natskv_client *client = client_of(&shared);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        natskv_kv *made, *opened;
        natskv_keys_list *keys;
        natskv_bucket_status *status;
        natskv_config config = config_of("codecs");
        config.key_codec = rows[i].codec;
        natskv_bucket_delete(client, "codecs", NULL);
        CHECK_OK(natskv_bucket_create(client, &config, &made, &err));
        CHECK_EQ(natskv_kv_key_policy(made), rows[i].codec);
        check_stored(made, rows[i].key, rows[i].raw_key);
        CHECK_OK(natskv_bucket_open(client, "codecs", &opened, &err)); /* by the bucket's metadata */
        CHECK_EQ(natskv_kv_key_policy(opened), rows[i].codec);
        check_stored(opened, rows[i].key, rows[i].raw_key);
        CHECK_OK(natskv_keys(opened, NULL, 0, &keys, &err));
        CHECK_EQ(natskv_keys_list_count(keys), 1);
        CHECK_TEXT(natskv_keys_list_at(keys, 0), rows[i].key);
        CHECK_OK(natskv_status(opened, &status, &err));
        CHECK_EQ(natskv_status_key_policy(status), rows[i].codec);
        natskv_status_free(status);
        natskv_keys_list_free(keys);
        natskv_kv_free(made);
        natskv_kv_free(opened);
    }
    natskv_config config = config_of("codecs");
    natskv_kv *kv;
    config.key_codec = NATSKV_KEYS_STRICT; /* no codec */
    CHECK_SAYS(natskv_bucket_create(client, &config, &kv, &err), NATSKV_INVALID_ARGUMENT, "key_codec");
    config.key_codec = 6;
    CHECK_SAYS(natskv_bucket_create(client, &config, &kv, &err), NATSKV_INVALID_ARGUMENT, "key_codec is 6", "NATSKV_KEYS_");
    natskv_client_free(client);
}

static void a_handle_says_which_keys_it_takes(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *strict = fresh_bucket(client, "policies", ""), *kv;
    natskv_handle_options options = handle();
    CHECK_EQ(natskv_kv_key_policy(strict), NATSKV_KEYS_STRICT);
    CHECK_CODE(natskv_put_string(strict, "user:12345", "x", NULL, &err), NATSKV_INVALID_KEY);
    options.key_policy = NATSKV_KEYS_PERMISSIVE;
    CHECK_OK(natskv_bucket_open_with(client, "policies", &options, &kv, &err));
    CHECK_EQ(natskv_kv_key_policy(kv), NATSKV_KEYS_PERMISSIVE);
    check_stored(kv, "user:12345", "user:12345");
    CHECK_CODE(natskv_put_string(kv, "a b", "x", NULL, &err), NATSKV_INVALID_KEY);
    natskv_kv_free(kv);
    options.key_policy = NATSKV_KEYS_ESCAPE;
    CHECK_OK(natskv_bucket_bind_with(client, "policies", &options, &kv, &err));
    CHECK_EQ(natskv_kv_key_policy(kv), NATSKV_KEYS_ESCAPE);
    check_stored(kv, "a b", "a=20b");
    natskv_kv_free(kv);
    options.key_policy = -1;
    CHECK_SAYS(natskv_bucket_open_with(client, "policies", &options, &kv, &err), NATSKV_INVALID_ARGUMENT, "key_policy is -1");
    natskv_kv_free(strict);
    natskv_client_free(client);
}

static void what_a_handle_refuses_and_allows(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *plain = fresh_bucket(client, "limits", ""), *kv;
    natskv_entry *entry;
    natskv_bucket_status *status;
    uint64_t purged;
    natskv_handle_options options = handle();
    CHECK(!natskv_kv_read_only(plain));
    CHECK_OK(natskv_put_string(plain, "a", "1", NULL, &err));
    options.read_only = true;
    options.leader_reads = true;
    CHECK_OK(natskv_bucket_open_with(client, "limits", &options, &kv, &err));
    CHECK(natskv_kv_read_only(kv));
    CHECK_OK(natskv_status(kv, &status, &err));
    CHECK_TEXT(natskv_status_read_only(status), "it was opened so");
    natskv_status_free(status);
    CHECK_OK(natskv_get(kv, "a", &entry, &err)); /* by the leader */
    CHECK(is_value(entry, "1"));
    natskv_entry_free(entry);
    CHECK_SAYS(natskv_put_string(kv, "a", "2", NULL, &err), NATSKV_UNSUPPORTED, "\"limits\"", "read-only");
    CHECK_CODE(natskv_delete(kv, "a", NULL, NULL, &err), NATSKV_UNSUPPORTED);
    CHECK_CODE(natskv_clear(kv, "a", NULL, NULL, &purged, &err), NATSKV_UNSUPPORTED);
    natskv_kv_free(kv);

    options = handle();
    CHECK_CODE(natskv_put_string(plain, "_kv.x", "1", NULL, &err), NATSKV_INVALID_KEY);
    options.reserved_keys = true;
    CHECK_OK(natskv_bucket_open_with(client, "limits", &options, &kv, &err));
    CHECK_OK(natskv_put_string(kv, "_kv.x", "1", NULL, &err));
    natskv_kv_free(kv);
    natskv_kv_free(plain);
    natskv_client_free(client);
}

static void drift_is_told_field_by_field(void)
{
    natskv_client *client = client_of(&shared);
    natskv_kv *kv = fresh_bucket(client, "drift", ",\"history\":3,\"description\":\"old\"");
    natskv_bucket_status *status;
    natskv_config config = config_of("drift");
    natskv_handle_options options = handle();
    CHECK_EQ(natskv_kv_drift_count(kv), 0);
    natskv_kv_free(kv);
    config.history = 5;
    config.description = "new";
    config.handle = &options;
    CHECK_SAYS(natskv_bucket_create(client, &config, &kv, &err), NATSKV_BUCKET_EXISTS, "history", "description");
    options.on_drift = NATSKV_DRIFT_IGNORE;
    CHECK_OK(natskv_bucket_create(client, &config, &kv, &err));
    CHECK_EQ(natskv_kv_drift_count(kv), 2);
    CHECK(strstr(natskv_kv_drift_at(kv, 0), "description") && strstr(natskv_kv_drift_at(kv, 1), "history"));
    CHECK(natskv_kv_drift_at(kv, 2) == NULL);
    CHECK_OK(natskv_status(kv, &status, &err));
    CHECK_EQ(natskv_status_history(status), 3); /* left as it is */
    natskv_status_free(status);
    natskv_kv_free(kv);
    options.on_drift = NATSKV_DRIFT_UPDATE;
    CHECK_OK(natskv_bucket_create(client, &config, &kv, &err));
    CHECK_EQ(natskv_kv_drift_count(kv), 2);
    CHECK_OK(natskv_status(kv, &status, &err));
    CHECK_EQ(natskv_status_history(status), 5);
    CHECK_TEXT(natskv_status_description(status), "new");
    natskv_status_free(status);
    natskv_kv_free(kv);
    CHECK_OK(natskv_bucket_create_json_with(client, "{\"bucket\":\"drift\",\"storage\":\"memory\",\"history\":5,\"description\":\"new\"}",
                                            &options, &kv, &err));
    CHECK_EQ(natskv_kv_drift_count(kv), 0); /* equal now */
    natskv_kv_free(kv);
    options.on_drift = 3;
    CHECK_SAYS(natskv_bucket_create(client, &config, &kv, &err), NATSKV_INVALID_ARGUMENT, "on_drift is 3");
    options = handle();
    options.struct_size = 3;
    CHECK_SAYS(natskv_bucket_create(client, &config, &kv, &err), NATSKV_INVALID_ARGUMENT, "natskv_handle_options_init");
    natskv_client_free(client);
}

const struct test handle_tests[] = {
    {"a codec is recorded and obeyed", a_codec_is_recorded_and_obeyed},
    {"a handle says which keys it takes", a_handle_says_which_keys_it_takes},
    {"what a handle refuses and allows", what_a_handle_refuses_and_allows},
    {"drift is told field by field", drift_is_told_field_by_field},
    {NULL, NULL},
};
