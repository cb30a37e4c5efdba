#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

struct server shared;
int is_small;

static jmp_buf end_of_test;
static char why[1024];
static int passed, failed;
static const char *only; /* run tests whose name contains this; or, with '-' in front, those whose name does not */

/* ── results */

void fail_at(const char *file, int line, const char *format, ...)
{
    const char *slash = strrchr(file, '/');
    int at = snprintf(why, sizeof why, "%s:%d: ", slash ? slash + 1 : file, line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why + at, sizeof why - (size_t)at, format, arguments);
    va_end(arguments);
    longjmp(end_of_test, 1);
}

void run_one(const char *name, void (*run)(void))
{
    if (only && (*only == '-') == (strstr(name, *only == '-' ? only + 1 : only) != NULL))
        return;
    double start = seconds();
    if (setjmp(end_of_test) == 0) {
        run();
        passed++;
        printf("ok %s (%.2f s)\n", name, seconds() - start);
    } else {
        failed++;
        printf("FAIL %s: %s\n", name, why);
    }
    fflush(stdout);
}

static void run_all(const struct test *tests)
{
    for (; tests->name; tests++)
        run_one(tests->name, tests->run);
}

static void end_shared(void)
{
    server_end(&shared);
}

int main(int argc, char **argv)
{
    only = argc > 1 ? argv[1] : NULL;
    is_small = getenv("NATSKV_SMALL") != NULL;
    if (!getenv("NATSKV_SERVER")) {
        fprintf(stderr, "NATSKV_SERVER must name the nats-server program\n");
        return 1;
    }
    if (setjmp(end_of_test) != 0) {
        printf("FAIL the server: %s\n0 passed, 1 failed, 0 skipped\n", why);
        return 1;
    }
    server_start(&shared);
    run_all(verb_tests);
    run_all(handle_tests);
    run_all(many_tests);
    run_all(null_tests);
    run_scenarios();
    run_all(watch_tests);
    run_all(async_tests);
    run_all(loop_tests);
    run_all(thread_tests);
    run_all(connection_tests);
    run_all(tls_tests);
    run_all(auth_tests);
    run_all(websocket_tests);
    only = NULL;
    run_one("no consumer is left behind", end_shared);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed ? 1 : 0;
}

/* ── time and memory */

double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void nap_ms(int ms)
{
    struct timespec nap = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&nap, NULL);
}

long memory_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file) {
        if (fscanf(file, "%ld %ld", &pages, &resident) != 2)
            resident = 0;
        fclose(file);
    }
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* ── servers */

static int free_port(void)
{
    struct sockaddr_in address = {0};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0
        || getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        FAIL("no free port: %s", strerror(errno));
    close(fd);
    return ntohs(address.sin_port);
}

/* A connection to a port of loopback; negative where nobody listens. */
static int dial(int port)
{
    struct sockaddr_in address = {0};
    struct timeval patience = {10, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static int is_listening(const struct server *server)
{
    char info[16] = "";
    int fd = dial(server->port);
    int is_up = fd >= 0 && (server->is_silent || (recv(fd, info, sizeof info - 1, 0) > 4 && strncmp(info, "INFO", 4) == 0));
    if (fd >= 0)
        close(fd);
    return is_up;
}

/* How many consumers the server has, by its monitoring port. */
static int consumers(const struct server *server)
{
    static const char request[] = "GET /jsz HTTP/1.0\r\n\r\n", field[] = "\"consumers\":";
    char answer[16384];
    size_t len = 0;
    ssize_t got = 1;
    int fd = dial(server->monitor_port);
    if (fd < 0 || send(fd, request, sizeof request - 1, 0) < 0)
        FAIL("the server's monitoring port does not answer: %s", strerror(errno));
    while (got > 0 && len < sizeof answer - 1)
        if ((got = recv(fd, answer + len, sizeof answer - 1 - len, 0)) > 0)
            len += (size_t)got;
    close(fd);
    answer[len] = '\0';
    const char *found = strstr(answer, field);
    if (!found)
        FAIL("/jsz does not tell the number of consumers: %.200s", answer);
    return atoi(found + sizeof field - 1);
}

int consumers_left(const struct server *server)
{
    int left;
    for (double until = seconds() + 10; (left = consumers(server)) > 0 && seconds() < until;)
        nap_ms(20);
    return left;
}

void server_restart(struct server *server)
{
    char port[16], monitor_port[16];
    snprintf(port, sizeof port, "%d", server->port);
    snprintf(monitor_port, sizeof monitor_port, "%d", server->monitor_port);
    server->pid = fork();
    if (server->pid < 0)
        FAIL("no fork: %s", strerror(errno));
    if (server->pid == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(1);
#ifdef __linux__
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a crash of the tests leaves no server behind */
#endif
        execl(getenv("NATSKV_SERVER"), "nats-server", "-a", "127.0.0.1", "-p", port, "-m", monitor_port, "-js", "-sd", server->folder,
              *server->config ? "-c" : NULL, server->config, (char *)NULL);
        _exit(127);
    }
    for (double until = seconds() + 30; !is_listening(server);) {
        if (seconds() > until || waitpid(server->pid, NULL, WNOHANG) != 0)
            FAIL("nats-server did not start");
        nap_ms(5);
    }
}

void folder_make(char folder[64])
{
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, 64, "%.40s/natskv-c-XXXXXX", temporary ? temporary : P_tmpdir);
    if (!mkdtemp(folder))
        FAIL("no temporary folder: %s", strerror(errno));
}

void server_start(struct server *server)
{
    server_start_with(server, NULL);
}

void server_start_with(struct server *server, const char *config)
{
    folder_make(server->folder);
    server->config[0] = '\0';
    server->is_silent = config && strstr(config, "handshake_first: true");
    if (config) {
        snprintf(server->config, sizeof server->config, "%s/conf", server->folder);
        FILE *file = fopen(server->config, "w");
        if (!file || fputs(config, file) < 0 || fclose(file) != 0)
            FAIL("%s: %s", server->config, strerror(errno));
    }
    server->port = free_port();
    server->monitor_port = free_port();
    snprintf(server->url, sizeof server->url, "nats://127.0.0.1:%d", server->port);
    server_restart(server);
}

void server_kill(struct server *server)
{
    if (server->pid == 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void server_freeze(struct server *server)
{
    int status;
    kill(server->pid, SIGSTOP);
    waitpid(server->pid, &status, WUNTRACED); /* all its threads stand still only then */
}

void server_thaw(struct server *server)
{
    kill(server->pid, SIGCONT);
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *at)
{
    (void)stat, (void)kind, (void)at;
    return remove(path);
}

void folder_remove(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void server_end(struct server *server)
{
    int left = 0;
    if (server->pid != 0) {
        server_thaw(server); /* so that it can answer */
        left = consumers_left(server);
    }
    server_kill(server);
    folder_remove(server->folder);
    if (left > 0)
        FAIL("%d consumers left behind", left);
}

/* ── short ways */

natskv_options options_for(const char *url)
{
    natskv_options options;
    natskv_options_init(&options);
    options.url = url;
    options.connect_timeout_ms = is_small ? 60000 : 5000;
    options.request_timeout_ms = is_small ? 60000 : 5000;
    return options;
}

natskv_client *client_with(natskv_options *options, const struct server *server)
{
    natskv_error err;
    natskv_client *client;
    options->url = server->url;
    CHECK_OK(natskv_connect(options, &client, &err));
    return client;
}

natskv_client *client_of(const struct server *server)
{
    natskv_options options;
    natskv_options_init(&options);
    return client_with(&options, server);
}

natskv_kv *fresh_bucket(natskv_client *client, const char *name, const char *more)
{
    natskv_error err;
    char json[512];
    natskv_kv *kv;
    natskv_bucket_delete(client, name, NULL);
    snprintf(json, sizeof json, "{\"bucket\":\"%s\"%s%s}", name, strstr(more, "storage") ? "" : ",\"storage\":\"memory\"", more);
    CHECK_OK(natskv_bucket_create_json(client, json, &kv, &err));
    return kv;
}

int is_value(const natskv_entry *entry, const char *text)
{
    natskv_slice value = natskv_entry_value(entry);
    return value.len == strlen(text) && memcmp(value.data, text, value.len) == 0;
}

/* ── filling a bucket */

#define WINDOW 512

struct filling {
    struct counter done;
    natskv_code code;
    uint64_t revision;
};

static void on_filled(void *user, natskv_reply *reply)
{
    struct filling *filling = user;
    if (reply->code != NATSKV_OK)
        filling->code = reply->code;
    else if (reply->revision > filling->revision)
        filling->revision = reply->revision;
    counter_add(&filling->done, 1);
}

uint64_t fill(natskv_kv *kv, int count, size_t size)
{
    struct filling filling = {COUNTER, NATSKV_OK, 0};
    char *value = malloc(size + 1);
    memset(value, 'x', size + 1);
    for (int i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "k.%d", i);
        natskv_code code = natskv_put_async(kv, key, value, size, on_filled, &filling, NULL);
        if (code != NATSKV_OK)
            FAIL("put %d: %s", i, natskv_code_name(code));
        if (i >= WINDOW && !counter_await(&filling.done, i - WINDOW))
            FAIL("the puts stopped at %ld", counter_get(&filling.done));
    }
    if (!counter_await(&filling.done, count) || filling.code != NATSKV_OK)
        FAIL("%ld puts of %d: %s", counter_get(&filling.done), count, natskv_code_name(filling.code));
    free(value);
    return filling.revision;
}

/* ── counters */

void counter_add(struct counter *counter, long n)
{
    pthread_mutex_lock(&counter->lock);
    counter->count += n;
    pthread_cond_broadcast(&counter->changed);
    pthread_mutex_unlock(&counter->lock);
}

long counter_get(struct counter *counter)
{
    pthread_mutex_lock(&counter->lock);
    long count = counter->count;
    pthread_mutex_unlock(&counter->lock);
    return count;
}

int counter_await(struct counter *counter, long at_least)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += is_small ? 120 : 30;
    pthread_mutex_lock(&counter->lock);
    int is_late = 0;
    while (counter->count < at_least && !is_late)
        is_late = pthread_cond_timedwait(&counter->changed, &counter->lock, &until) == ETIMEDOUT;
    int is_there = counter->count >= at_least;
    pthread_mutex_unlock(&counter->lock);
    return is_there;
}
