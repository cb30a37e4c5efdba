/* The client on the caller's own loop: no thread but this one. */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

static natskv_error err;

/* One turn of the loop; false once the client is closed. */
static int turn(const natskv_client *client)
{
    struct pollfd p = {natskv_fd(client), natskv_interest(client), 0};
    int64_t timeout = natskv_timeout_ms(client);
    poll(&p, 1, timeout < 0 || timeout > 1000 ? 1000 : (int)timeout);
    return natskv_process(client, p.revents) == NATSKV_OK;
}

/* Turns until `*flag`, at most 30 s. */
#define TURN_UNTIL(client, condition) \
    do { \
        double until_ = seconds() + 30; \
        while (!(condition)) { \
            turn(client); \
            if (seconds() > until_) FAIL("still not: %s", #condition); \
        } \
    } while (0)

static int threads(void)
{
    int count = 0;
    char line[128];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Threads: %d", &count) == 1)
            break;
    if (file)
        fclose(file);
    return count;
}

struct loop {
    natskv_client *client;
    natskv_kv *kv;
    natskv_watcher *watcher;
    pthread_t thread;
    int ready, opened, puts, failed, items, caught_up, dropped, closed, is_foreign;
    uint64_t revision;
    natskv_code inside, processed, code;
};

static struct loop *here(void *user)
{
    struct loop *loop = user;
    loop->is_foreign |= !pthread_equal(loop->thread, pthread_self());
    return loop;
}

static void on_ready(void *user, natskv_reply *reply)
{
    struct loop *loop = here(user);
    loop->code = reply->code;
    loop->ready++;
}

static void on_opened(void *user, natskv_reply *reply)
{
    struct loop *loop = here(user);
    loop->code = reply->code;
    loop->kv = reply->kv;
    reply->kv = NULL;
    loop->opened++;
}

static void on_put(void *user, natskv_reply *reply)
{
    struct loop *loop = here(user);
    loop->failed += reply->code != NATSKV_OK;
    loop->revision = reply->revision;
    loop->puts++;
}

static void on_watching(void *user, natskv_reply *reply)
{
    struct loop *loop = here(user);
    loop->watcher = reply->watcher;
    reply->watcher = NULL;
}

static void on_loop_item(void *user, natskv_code code, const natskv_entry *entry)
{
    struct loop *loop = here(user);
    loop->items += code == NATSKV_OK && entry != NULL;
    if (code == NATSKV_CAUGHT_UP) {
        natskv_entry *other;
        loop->inside = natskv_get(loop->kv, "a", &other, NULL);
        loop->processed = natskv_process(loop->client, 0);
        loop->caught_up++;
    }
}

static void on_loop_drop(void *user)
{
    here(user)->dropped++;
}

static void on_closed(void *user, natskv_reply *reply)
{
    struct loop *loop = here(user);
    loop->code = reply->code;
    loop->closed++;
}

static struct loop loop_on(const struct server *server)
{
    struct loop loop = {0};
    natskv_options options;
    natskv_options_init(&options);
    options.url = server->url;
    loop.thread = pthread_self();
    CHECK_OK(natskv_connect_external(&options, &loop.client, &err));
    return loop;
}

static void everything_on_one_thread(void)
{
    int count = is_small ? 500 : 10000;
    int before = threads();
    struct loop loop = loop_on(&shared);
    CHECK(natskv_fd(loop.client) >= 0); /* on its way */
    CHECK_EQ(natskv_interest(loop.client), POLLOUT);
    CHECK(natskv_timeout_ms(loop.client) > 0);
    CHECK_EQ(natskv_ready_async(loop.client, 0, on_ready, &loop, NULL), NATSKV_OK);
    natskv_bucket_delete_async(loop.client, "loop", on_ready, &loop, NULL);
    CHECK_EQ(natskv_bucket_create_json_async(loop.client, "{\"bucket\":\"loop\",\"storage\":\"memory\"}", on_opened, &loop, NULL), NATSKV_OK);
    TURN_UNTIL(loop.client, loop.opened && loop.ready == 2);
    CHECK_EQ(loop.code, NATSKV_OK);
    CHECK_EQ(threads(), before);

    natskv_watch_options options;
    natskv_watch_options_init(&options);
    options.on_item = on_loop_item;
    options.user = &loop;
    options.drop = on_loop_drop;
    CHECK_EQ(natskv_watch_async(loop.kv, NULL, 0, &options, on_watching, &loop, NULL), NATSKV_OK);
    TURN_UNTIL(loop.client, loop.watcher && loop.caught_up);
    CHECK_EQ(loop.inside, NATSKV_WOULD_DEADLOCK);
    CHECK_EQ(loop.processed, NATSKV_WOULD_DEADLOCK);
    double start = seconds();
    for (int i = 0; i < count; i++)
        CHECK_EQ(natskv_put_async(loop.kv, "a", "value", 5, on_put, &loop, NULL), NATSKV_OK);
    TURN_UNTIL(loop.client, loop.puts == count);
    printf("# %.0f puts/s on one thread, all in flight\n", count / (seconds() - start));
    CHECK_EQ(loop.failed, 0);
    CHECK_EQ(loop.revision, count);

    /* Blocking calls drive the connection themselves; the callbacks wait for their turn. */
    int items = loop.items;
    natskv_entry *entry;
    CHECK_OK(natskv_put_string(loop.kv, "b", "blocking", NULL, &err));
    CHECK_OK(natskv_get(loop.kv, "b", &entry, &err));
    natskv_entry_free(entry);
    CHECK_EQ(loop.items, items);
    TURN_UNTIL(loop.client, loop.items > items);

    natskv_watcher_free(loop.watcher);
    CHECK_EQ(loop.dropped, 0);
    CHECK_EQ(natskv_timeout_ms(loop.client), 0); /* a callback is due */
    TURN_UNTIL(loop.client, loop.dropped);
    CHECK_EQ(natskv_drain_async(loop.client, on_closed, &loop, NULL), NATSKV_OK);
    double until = seconds() + 10;
    while (turn(loop.client) && seconds() < until) {
    }
    CHECK_EQ(loop.closed, 1);
    CHECK_EQ(natskv_fd(loop.client), -1);
    CHECK_EQ(natskv_process(loop.client, 0), NATSKV_CLOSED);
    CHECK_EQ(loop.is_foreign, 0);
    CHECK_EQ(threads(), before);
    natskv_kv_free(loop.kv);
    natskv_client_free(loop.client);
}

static void a_loop_outlives_its_server(void)
{
    struct server server;
    server_start(&server);
    struct loop loop = loop_on(&server);
    CHECK_EQ(natskv_bucket_create_json_async(loop.client, "{\"bucket\":\"loop\"}", on_opened, &loop, NULL), NATSKV_OK);
    TURN_UNTIL(loop.client, loop.opened);
    natskv_watch_options options;
    natskv_watch_options_init(&options);
    options.on_item = on_loop_item;
    options.user = &loop;
    CHECK_EQ(natskv_watch_async(loop.kv, NULL, 0, &options, on_watching, &loop, NULL), NATSKV_OK);
    TURN_UNTIL(loop.client, loop.watcher && loop.caught_up);
    CHECK_EQ(natskv_put_string_async(loop.kv, "a", "1", on_put, &loop, NULL), NATSKV_OK);
    TURN_UNTIL(loop.client, loop.items == 1);
    server_kill(&server);
    TURN_UNTIL(loop.client, natskv_state(loop.client) != NATSKV_STATE_CONNECTED);
    CHECK_EQ(natskv_put_string_async(loop.kv, "b", "2", on_put, &loop, NULL), NATSKV_OK);
    server_restart(&server);
    TURN_UNTIL(loop.client, loop.puts == 2 && loop.items == 2);
    CHECK_EQ(loop.failed, 0);
    natskv_watcher_free(loop.watcher);
    natskv_kv_free(loop.kv);
    natskv_client_free(loop.client);
    CHECK_EQ(loop.is_foreign, 0);
    server_end(&server);
}

#ifdef __linux__
/* A loop that registers descriptors, and only when their number changes. */
static void epoll_turn(const natskv_client *client, int set, int *registered)
{
    struct epoll_event event = {0};
    int fd = natskv_fd(client);
    event.events = (uint32_t)natskv_interest(client); /* EPOLLIN and EPOLLOUT are POLLIN and POLLOUT */
    if (fd >= 0 && epoll_ctl(set, fd == *registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0)
        FAIL("descriptor %d after %d: %s", fd, *registered, strerror(errno));
    *registered = fd;
    int64_t timeout = natskv_timeout_ms(client);
    short ready = epoll_wait(set, &event, 1, timeout < 0 || timeout > 1000 ? 1000 : (int)timeout) == 1 ? (short)event.events : 0;
    natskv_process(client, ready);
}

static void an_epoll_loop_outlives_its_server(void)
{
    struct server server;
    server_start(&server);
    struct loop loop = loop_on(&server);
    int set = epoll_create1(EPOLL_CLOEXEC), registered = -1;
    double until = seconds() + 60;
    CHECK_EQ(natskv_bucket_create_json_async(loop.client, "{\"bucket\":\"loop\"}", on_opened, &loop, NULL), NATSKV_OK);
    while (!loop.opened && seconds() < until)
        epoll_turn(loop.client, set, &registered);
    CHECK_EQ(loop.code, NATSKV_OK);
    for (int i = 1; i <= 3; i++) {
        server_kill(&server);
        while (natskv_state(loop.client) == NATSKV_STATE_CONNECTED && seconds() < until)
            epoll_turn(loop.client, set, &registered);
        server_restart(&server);
        CHECK_EQ(natskv_put_string_async(loop.kv, "a", "1", on_put, &loop, NULL), NATSKV_OK);
        while (loop.puts < i && seconds() < until)
            epoll_turn(loop.client, set, &registered);
        CHECK_EQ(loop.puts, i);
    }
    CHECK_EQ(loop.failed, 0);
    close(set);
    natskv_kv_free(loop.kv);
    natskv_client_free(loop.client);
    server_end(&server);
}
#endif

static void on_free_all(void *user, natskv_reply *reply)
{
    struct loop *loop = here(user);
    (void)reply;
    natskv_kv_free(loop->kv);
    natskv_client_free(loop->client);
    loop->closed++;
}

static void a_loop_freed_in_its_callback(void)
{
    struct loop loop = loop_on(&shared);
    CHECK_EQ(natskv_bucket_create_json_async(loop.client, "{\"bucket\":\"free\",\"storage\":\"memory\"}", on_opened, &loop, NULL), NATSKV_OK);
    TURN_UNTIL(loop.client, loop.opened);
    CHECK_EQ(natskv_put_string_async(loop.kv, "a", "1", on_free_all, &loop, NULL), NATSKV_OK);
    CHECK_EQ(natskv_put_string_async(loop.kv, "a", "2", on_put, &loop, NULL), NATSKV_OK);
    while (turn(loop.client)) {
    }
    CHECK_EQ(loop.closed, 1);
    CHECK_EQ(loop.puts, 1); /* answered, one way or the other, before the client was gone */
}

static void a_loop_without_a_server(void)
{
    natskv_options options;
    struct loop loop = {0};
    natskv_options_init(&options);
    options.url = "nats://no-such-host.invalid"; /* asked of the resolver, which has a thread of its own */
    loop.thread = pthread_self();
    CHECK_OK(natskv_connect_external(&options, &loop.client, &err));
    CHECK_EQ(natskv_ready_async(loop.client, 0, on_ready, &loop, NULL), NATSKV_OK);
    TURN_UNTIL(loop.client, loop.ready);
    CHECK(loop.code == NATSKV_CONNECT_FAILED || loop.code == NATSKV_TIMEOUT);
    natskv_client_free(loop.client);
}

const struct test loop_tests[] = {
    {"everything on one thread", everything_on_one_thread},
    {"a loop outlives its server", a_loop_outlives_its_server},
#ifdef __linux__
    {"an epoll loop outlives its server", an_epoll_loop_outlives_its_server},
#endif
    {"a loop freed in its callback", a_loop_freed_in_its_callback},
    {"a loop without a server", a_loop_without_a_server},
    {NULL, NULL},
};
