/* ws:// and wss://: the same client over WebSocket. */
#include "proof.h"

#include <stdlib.h>

static natskv_error err;

/* Values of all sizes there and back, a watch, and many at once. */
static void check_works(natskv_options options)
{
    static const size_t sizes[] = {0, 1, 120, 130, 65000, 66000, 1000000};
    natskv_client *client;
    natskv_entry *entry;
    natskv_watcher *watcher;
    CHECK_OK(natskv_connect(&options, &client, &err));
    natskv_kv *kv = fresh_bucket(client, "web", "");
    char *value = malloc(1000000);
    for (size_t i = 0; i < 1000000; i++)
        value[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK_OK(natskv_put(kv, "v", value, sizes[i], NULL, &err));
        CHECK_OK(natskv_get(kv, "v", &entry, &err));
        CHECK_EQ(natskv_entry_value(entry).len, sizes[i]);
        CHECK(sizes[i] == 0 || memcmp(natskv_entry_value(entry).data, value, sizes[i]) == 0);
        natskv_entry_free(entry);
    }
    fill(kv, is_small ? 100 : 2000, 100);
    CHECK_OK(natskv_watch(kv, NULL, 0, NULL, &watcher, &err));
    natskv_code code;
    int items = 0;
    while ((code = natskv_watcher_next(watcher, 30000, &entry, &err)) == NATSKV_OK) {
        natskv_entry_free(entry);
        items++;
    }
    CHECK_EQ(code, NATSKV_CAUGHT_UP);
    CHECK_EQ(items, (is_small ? 100 : 2000) + 1);
    free(value);
    natskv_watcher_free(watcher);
    natskv_kv_free(kv);
    CHECK_OK(natskv_drain(client, &err));
    natskv_client_free(client);
}

static void the_client_works_over_websocket(void)
{
    struct proof proof;
    proof_start(&proof, "open");
    check_works(options_for(proof.ws_url));
    proof_end(&proof);
}

static void the_client_works_over_websocket_and_tls(void)
{
    struct proof proof;
    natskv_client *client;
    proof_start(&proof, "wss");
    natskv_options options = options_for(proof.ws_url);
    options.tls_ca_file = proof.ca;
    check_works(options);
    options.tls_ca_file = proof.other_ca;
    CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_TLS, "is not signed by an authority of tls_ca_file");
    options.tls_ca_file = proof.ca;
    options.tls_hostname = "elsewhere.example";
    CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_TLS, "is not for elsewhere.example but for localhost");
    proof_end(&proof);
}

static void schemes_that_do_not_go_together_are_refused(void)
{
    natskv_client *client;
    natskv_options options = options_for("ws://127.0.0.1:1, nats://127.0.0.1:1");
    CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_INVALID_ARGUMENT, "cannot be mixed");
    options.url = "ws://127.0.0.1:1";
    options.tls = true;
    CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_INVALID_ARGUMENT, "tls", "wss://");
}

static void a_server_that_speaks_no_websocket_is_told_apart(void)
{
    struct proof proof;
    natskv_client *client;
    char url[64];
    snprintf(url, sizeof url, "ws%s", shared.url + 4); /* the port of nats:// */
    natskv_options options = options_for(url);
    natskv_code code = natskv_connect(&options, &client, &err);
    CHECK(code == NATSKV_PROTOCOL || code == NATSKV_CONNECT_FAILED);
    CHECK(strstr(err.message, url + 5));
    proof_start(&proof, "wss");
    snprintf(url, sizeof url, "ws%s", proof.ws_url + 3); /* in the clear to a port with TLS */
    options.url = url;
    CHECK(natskv_connect(&options, &client, &err) != NATSKV_OK);
    CHECK(strstr(err.message, "ws://"));
    proof_end(&proof);
}

static void the_connection_is_made_anew_over_websocket(void)
{
    struct proof proof;
    natskv_client *client;
    natskv_statistics stats;
    proof_start(&proof, "open");
    natskv_options options = options_for(proof.ws_url);
    options.request_timeout_ms = 60000;
    CHECK_OK(natskv_connect(&options, &client, &err));
    natskv_kv *kv = fresh_bucket(client, "again", ",\"storage\":\"file\"");
    CHECK_OK(natskv_put_string(kv, "a", "1", NULL, &err));
    proof_tell(&proof, "restart");
    CHECK_OK(natskv_flush(client, 60000, &err));
    natskv_entry *entry;
    CHECK_OK(natskv_get(kv, "a", &entry, &err));
    CHECK(is_value(entry, "1"));
    natskv_entry_free(entry);
    CHECK_EQ(natskv_stats(client, &stats), NATSKV_OK);
    CHECK_EQ(stats.reconnects, 1);
    natskv_kv_free(kv);
    natskv_client_free(client);
    proof_end(&proof);
}

const struct test websocket_tests[] = {
    {"the client works over WebSocket", the_client_works_over_websocket},
    {"the client works over WebSocket and TLS", the_client_works_over_websocket_and_tls},
    {"schemes that do not go together are refused", schemes_that_do_not_go_together_are_refused},
    {"a server that speaks no WebSocket is told apart", a_server_that_speaks_no_websocket_is_told_apart},
    {"the connection is made anew over WebSocket", the_connection_is_made_anew_over_websocket},
    {NULL, NULL},
};
