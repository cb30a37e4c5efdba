/* A watch with a callback: it runs on the library's thread, one call at a time, while main goes on.
 *
 *     cc watch.c $(pkg-config --cflags --libs natskv) -lpthread -o watch && ./watch nats://127.0.0.1:4222
 */
#include <natskv.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* What the callback and main share. */
struct seen {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int updates;
    int is_caught_up;
    int is_over;
};

static void on_item(void *user, natskv_code code, const natskv_entry *entry)
{
    struct seen *seen = user;
    pthread_mutex_lock(&seen->lock);
    if (code == NATSKV_OK) {
        natskv_slice value = natskv_entry_value(entry);
        printf("%s %s @%" PRIu64 " \"%.*s\"\n", natskv_operation_name(natskv_entry_operation(entry)), natskv_entry_key(entry),
               natskv_entry_revision(entry), (int)value.len, value.data);
        seen->updates += seen->is_caught_up;
    } else if (code == NATSKV_CAUGHT_UP) {
        printf("-- caught up\n");
        seen->is_caught_up = 1;
    } else {
        printf("-- %s\n", natskv_code_name(code));
    }
    pthread_cond_signal(&seen->changed);
    pthread_mutex_unlock(&seen->lock);
}

/* The last call: from here on nobody uses `user` any more. */
static void on_drop(void *user)
{
    struct seen *seen = user;
    pthread_mutex_lock(&seen->lock);
    seen->is_over = 1;
    pthread_cond_signal(&seen->changed);
    pthread_mutex_unlock(&seen->lock);
}

static void must(natskv_code code, const natskv_error *err, const char *what)
{
    if (code != NATSKV_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, natskv_code_name(code), err->message);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static struct seen seen = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0};
    natskv_error err;
    natskv_options options;
    natskv_options_init(&options);
    options.url = argc > 1 ? argv[1] : NULL;

    natskv_client *client;
    must(natskv_connect(&options, &client, &err), &err, "connect");
    natskv_kv *kv;
    /* A watch promises the newest state of each key; what is overwritten meanwhile comes as far as history still keeps it. */
    const char *config = "{\"bucket\": \"example-watch\", \"storage\": \"memory\", \"history\": 5}";
    must(natskv_bucket_create_json(client, config, &kv, &err), &err, "create bucket");
    must(natskv_put_string(kv, "lamp.kitchen", "off", NULL, &err), &err, "put");

    natskv_watch_options watch;
    natskv_watch_options_init(&watch);
    watch.on_item = on_item;
    watch.user = &seen;
    watch.drop = on_drop;
    const char *filters[] = {"lamp.>"};
    natskv_watcher *watcher;
    must(natskv_watch(kv, filters, 1, &watch, &watcher, &err), &err, "watch");

    pthread_mutex_lock(&seen.lock);
    while (!seen.is_caught_up)
        pthread_cond_wait(&seen.changed, &seen.lock);
    pthread_mutex_unlock(&seen.lock);

    must(natskv_put_string(kv, "lamp.kitchen", "on", NULL, &err), &err, "put");
    must(natskv_delete(kv, "lamp.kitchen", NULL, NULL, &err), &err, "delete");

    pthread_mutex_lock(&seen.lock);
    while (seen.updates < 2)
        pthread_cond_wait(&seen.changed, &seen.lock);
    pthread_mutex_unlock(&seen.lock);

    natskv_watcher_free(watcher); /* does not wait; on_drop tells when the callback is out of use */
    pthread_mutex_lock(&seen.lock);
    while (!seen.is_over)
        pthread_cond_wait(&seen.changed, &seen.lock);
    pthread_mutex_unlock(&seen.lock);

    must(natskv_bucket_delete(client, "example-watch", &err), &err, "delete bucket");
    natskv_kv_free(kv);
    natskv_client_free(client);
    return 0;
}
