/* How long libnatskv needs after its server was killed: `recover URL`.
 *
 * A line on stdin means that the server is gone. The answer, a line of JSON, tells when a get worked again and when a watch delivered
 * what was written after it: seconds since 1970, null for never. */
#include <natskv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ATTEMPT_MS = 1000, DEAF_MS = 15000 };

static natskv_error err;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void pause_a_little(void)
{
    struct timespec time = {0, 2000000};
    nanosleep(&time, NULL);
}

static void must(natskv_code code)
{
    if (code != NATSKV_OK) {
        fprintf(stderr, "%s: %s\n", natskv_code_name(code), err.message);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    natskv_client *client;
    natskv_kv *kv;
    natskv_watcher *watcher;
    natskv_entry *entry;
    natskv_options options;
    const char *key = "k";
    char line[32];
    natskv_options_init(&options);
    options.url = argc > 1 ? argv[1] : NULL;
    must(natskv_connect(&options, &client, &err));
    must(natskv_bucket_create_json(client, "{\"bucket\":\"recover\"}", &kv, &err));
    natskv_kv_set_timeout_ms(kv, ATTEMPT_MS);
    must(natskv_watch(kv, &key, 1, NULL, &watcher, &err));
    must(natskv_put_string(kv, key, "0", NULL, &err));
    printf("{\"ready\":true}\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        while (natskv_get(kv, key, &entry, &err) != NATSKV_OK)
            pause_a_little();
        natskv_entry_free(entry);
        double got = now();
        while (natskv_put_string(kv, key, line, NULL, &err) != NATSKV_OK)
            pause_a_little();
        for (int is_heard = 0; !is_heard;) {
            natskv_code code = natskv_watcher_next(watcher, DEAF_MS, &entry, &err);
            if (code == NATSKV_CAUGHT_UP)
                continue;
            must(code);
            natskv_slice value = natskv_entry_value(entry);
            is_heard = value.len == strlen(line) && memcmp(value.data, line, value.len) == 0;
            natskv_entry_free(entry);
        }
        printf("{\"get\":%.6f,\"watch\":%.6f}\n", got, now());
        fflush(stdout);
    }
    natskv_watcher_free(watcher);
    natskv_kv_free(kv);
    natskv_client_free(client);
    return 0;
}
