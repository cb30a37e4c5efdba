/* Blocking calls: connect, make a bucket, write, read, compare-and-set, list.
 *
 *     cc basic.c $(pkg-config --cflags --libs natskv) -o basic && ./basic nats://127.0.0.1:4222
 */
#include <natskv.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(natskv_code code, const natskv_error *err, const char *what)
{
    if (code != NATSKV_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, natskv_code_name(code), err->message);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    natskv_error err;
    natskv_options options;
    natskv_options_init(&options);
    options.url = argc > 1 ? argv[1] : NULL; /* NULL: nats://127.0.0.1:4222 */

    natskv_client *client;
    must(natskv_connect(&options, &client, &err), &err, "connect");

    natskv_config config;
    natskv_config_init(&config);
    config.bucket = "example-basic";
    config.history = 5;
    natskv_kv *kv;
    must(natskv_bucket_create(client, &config, &kv, &err), &err, "create bucket");

    uint64_t revision;
    must(natskv_put_string(kv, "greeting", "hello", &revision, &err), &err, "put");
    printf("put greeting: revision %" PRIu64 "\n", revision);

    natskv_entry *entry;
    must(natskv_get(kv, "greeting", &entry, &err), &err, "get");
    natskv_slice value = natskv_entry_value(entry);
    printf("get %s: \"%.*s\"\n", natskv_entry_key(entry), (int)value.len, value.data);
    natskv_entry_free(entry);

    /* Somebody else was faster: the error says so, and which revision the key is really at. */
    must(natskv_put_string(kv, "greeting", "hallo", NULL, &err), &err, "put");
    const char *late = "hi";
    natskv_code code = natskv_update(kv, "greeting", late, strlen(late), revision, NULL, &err);
    printf("update at revision %" PRIu64 ": %s (%s)\n", revision, natskv_code_name(code), err.message);

    natskv_keys_list *keys;
    must(natskv_keys(kv, NULL, 0, &keys, &err), &err, "keys");
    for (size_t i = 0; i < natskv_keys_list_count(keys); i++)
        printf("key %s\n", natskv_keys_list_at(keys, i));
    natskv_keys_list_free(keys);

    must(natskv_bucket_delete(client, "example-basic", &err), &err, "delete bucket");
    natskv_kv_free(kv);
    natskv_client_free(client);
    return 0;
}
