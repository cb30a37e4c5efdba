/* A client of the cluster test in C, as worker.py says. */
#include <natskv.h>

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEYS = 6 };

static struct {
    uint64_t revision;
    char value[24];
} seen[KEYS];
static uint64_t newest;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void tell(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

static void must(natskv_code code, const natskv_error *err, const char *what)
{
    if (code != NATSKV_OK) {
        tell("broken %s: %s", what, err->message);
        exit(1);
    }
}

static void value_of(const natskv_entry *entry, char out[24])
{
    natskv_slice value = natskv_entry_value(entry);
    snprintf(out, 24, "%.*s", (int)value.len, (const char *)value.data);
}

static void attempt(const natskv_kv *kv, uint64_t *last)
{
    char key[8], value[24], old[24] = "0";
    uint64_t expected = 0, revision = 0, start = now_ns();
    natskv_error err;
    natskv_entry *entry;
    snprintf(key, sizeof key, "k%d", rand() % KEYS);
    natskv_code code = natskv_get(kv, key, &entry, &err);
    if (code == NATSKV_OK) {
        expected = natskv_entry_revision(entry);
        value_of(entry, old);
        natskv_entry_free(entry);
    } else if (code != NATSKV_KEY_NOT_FOUND) {
        tell("failed %" PRIu64 " %" PRIu64 " %s", start, now_ns(), natskv_code_name(code));
        return;
    }
    tell("read %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %s", key, start, now_ns(), expected, old);
    int length = snprintf(value, sizeof value, "%" PRIu64, ++*last);
    start = now_ns();
    if (expected)
        code = natskv_update(kv, key, value, (size_t)length, expected, &revision, &err);
    else
        code = natskv_create(kv, key, value, (size_t)length, 0, &revision, &err);
    uint64_t end = now_ns();
    if (code == NATSKV_OK)
        tell("wrote %s %" PRIu64 " %" PRIu64 " %s %" PRIu64 " %" PRIu64, key, start, end, value, revision, expected);
    else if (err.maybe_applied)
        tell("maybe %s %" PRIu64 " %" PRIu64 " %s %" PRIu64, key, start, end, value, expected);
    else if (code == NATSKV_WRONG_REVISION || code == NATSKV_KEY_EXISTS)
        tell("refused %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, key, start, end, expected, err.revision);
    else
        tell("failed %" PRIu64 " %" PRIu64 " %s", start, end, natskv_code_name(code));
}

/* Takes what the watch has, waiting so long for the first of it. */
static void look(const natskv_watcher *watcher, int64_t timeout_ms)
{
    for (;; timeout_ms = 0) {
        natskv_entry *entry;
        natskv_error err;
        natskv_code code = natskv_watcher_next(watcher, timeout_ms, &entry, &err);
        if (code == NATSKV_CAUGHT_UP)
            continue;
        if (code == NATSKV_TIMEOUT)
            return;
        must(code, &err, "the watch");
        uint64_t revision = natskv_entry_revision(entry);
        int at = natskv_entry_key(entry)[1] - '0';
        if (revision <= newest)
            tell("broken revision %" PRIu64 " after %" PRIu64, revision, newest);
        newest = revision;
        if (natskv_entry_key(entry)[0] == 'k' && at >= 0 && at < KEYS) {
            seen[at].revision = revision;
            value_of(entry, seen[at].value);
        }
        natskv_entry_free(entry);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    uint64_t last = strtoull(argv[3], NULL, 10) * 1000000;
    srand((unsigned)last);
    natskv_error err;
    natskv_options options;
    natskv_options_init(&options);
    options.url = argv[1];
    options.ping_interval_ms = 1000;
    options.request_timeout_ms = 2000;
    natskv_client *client;
    must(natskv_connect(&options, &client, &err), &err, "connect");
    natskv_handle_options handle;
    natskv_handle_options_init(&handle);
    handle.leader_reads = true;
    natskv_kv *kv;
    must(natskv_bucket_open_with(client, argv[2], &handle, &kv, &err), &err, "open");
    natskv_watcher *watcher;
    must(natskv_watch(kv, NULL, 0, NULL, &watcher, &err), &err, "watch");

    struct pollfd input = {0, POLLIN, 0};
    while (poll(&input, 1, 2) == 0) {
        attempt(kv, &last);
        look(watcher, 0);
    }
    char line[64];
    if (!fgets(line, sizeof line, stdin) || strcmp(line, "stop\n") != 0)
        return 1;
    tell("stopped");
    if (!fgets(line, sizeof line, stdin) || strncmp(line, "show ", 5) != 0)
        return 1;
    uint64_t wanted = strtoull(line + 5, NULL, 10), until = now_ns() + 60000000000u;
    while (newest < wanted && now_ns() < until)
        look(watcher, 1000);
    for (int at = 0; at < KEYS; at++)
        if (seen[at].revision)
            tell("seen k%d %" PRIu64 " %s", at, seen[at].revision, seen[at].value);
    tell("end");
    natskv_watcher_free(watcher);
    natskv_kv_free(kv);
    natskv_client_free(client);
    return 0;
}
