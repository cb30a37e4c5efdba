/* The caller's own loop: no thread of the library, no blocking call; everything happens inside natskv_process.
 *
 *     cc poll_loop.c $(pkg-config --cflags --libs natskv) -o poll_loop && ./poll_loop nats://127.0.0.1:4222
 */
#include <natskv.h>

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define PUTS 1000

struct app {
    natskv_client *client;
    natskv_kv *kv;
    int acknowledged;
    int is_done;
};

static int has_failed(const natskv_reply *reply, const char *what)
{
    if (reply->code == NATSKV_OK)
        return 0;
    fprintf(stderr, "%s: %s: %s\n", what, natskv_code_name(reply->code), reply->error->message);
    return 1;
}

static void on_deleted(void *user, natskv_reply *reply)
{
    struct app *app = user;
    has_failed(reply, "delete bucket");
    natskv_close(app->client);
    app->is_done = 1;
}

static void on_put(void *user, natskv_reply *reply)
{
    struct app *app = user;
    if (has_failed(reply, "put"))
        exit(1);
    if (++app->acknowledged < PUTS)
        return;
    printf("%d puts, the last one at revision %" PRIu64 "\n", PUTS, reply->revision);
    natskv_bucket_delete_async(app->client, "example-loop", on_deleted, app, NULL);
}

static void on_bucket(void *user, natskv_reply *reply)
{
    struct app *app = user;
    if (has_failed(reply, "create bucket"))
        exit(1);
    app->kv = reply->kv;
    reply->kv = NULL; /* ours from here on */
    /* All on their way at once; they leave together in a few large writes. */
    for (int i = 0; i < PUTS; i++) {
        char key[32];
        snprintf(key, sizeof key, "key.%d", i);
        if (natskv_put_string_async(app->kv, key, "value", on_put, app, NULL) != NATSKV_OK)
            exit(1);
    }
}

int main(int argc, char **argv)
{
    struct app app = {NULL, NULL, 0, 0};
    natskv_error err;
    natskv_options options;
    natskv_options_init(&options);
    options.url = argc > 1 ? argv[1] : NULL;
    if (natskv_connect_external(&options, &app.client, &err) != NATSKV_OK) {
        fprintf(stderr, "connect: %s\n", err.message);
        return 1;
    }
    /* Operations may start before the connection is there. */
    natskv_bucket_create_json_async(app.client, "{\"bucket\": \"example-loop\", \"storage\": \"memory\"}", on_bucket, &app, NULL);

    for (;;) {
        struct pollfd p = {natskv_fd(app.client), natskv_interest(app.client), 0};
        poll(&p, 1, (int)natskv_timeout_ms(app.client));
        if (natskv_process(app.client, p.revents) == NATSKV_CLOSED)
            break;
    }
    natskv_kv_free(app.kv);
    natskv_client_free(app.client);
    return app.is_done ? 0 : 1;
}
