/* What the C tests stand on: a list of tests, checks that end a test, private nats-servers, and short ways to common things. */
#ifndef HARNESS_H
#define HARNESS_H

#include <natskv.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

struct server {
    pid_t pid; /* 0: it was killed */
    int port, monitor_port;
    int is_silent; /* it says nothing before TLS */
    char folder[64];
    char config[96]; /* its configuration file; "" for none */
    char url[64];
};

/* The server that most tests share. */
extern struct server shared;

/* Whether sizes are to be small: under valgrind everything is some fifty times slower. From env NATSKV_SMALL. */
extern int is_small;

void server_start(struct server *server);   /* a fresh store on a free port; waits until it serves */
void server_start_with(struct server *server, const char *config); /* the same with lines of a configuration file */
void server_kill(struct server *server);    /* kill -9; the store stays */
void server_restart(struct server *server); /* again on the same port and store */
void server_end(struct server *server);     /* kill and remove the store; fails when a consumer was left behind on it */
int consumers_left(const struct server *server); /* how many stay when what is on its way has arrived */
void server_freeze(struct server *server);  /* it stays connected and says nothing */
void server_thaw(struct server *server);

void folder_make(char folder[64]); /* a new temporary one */
void folder_remove(const char *folder);

/* Ends the running test; only on the thread that runs it. */
#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 3, 4)))
#endif
void fail_at(const char *file, int line, const char *format, ...);

#define FAIL(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition) \
    do { \
        if (!(condition)) FAIL("not true: %s", #condition); \
    } while (0)
#define CHECK_EQ(left, right) \
    do { \
        long long left_ = (long long)(left), right_ = (long long)(right); \
        if (left_ != right_) FAIL("%s is %lld and %s is %lld", #left, left_, #right, right_); \
    } while (0)
#define CHECK_TEXT(left, right) \
    do { \
        const char *left_ = (left), *right_ = (right); \
        if (strcmp(left_, right_) != 0) FAIL("%s is \"%s\", not \"%s\"", #left, left_, right_); \
    } while (0)
/* The call gives this code; `err` is the natskv_error that the call was given. */
#define CHECK_CODE(call, expected) \
    do { \
        natskv_code code_ = (call), expected_ = (expected); \
        if (code_ != expected_) \
            FAIL("%s gave %s (%s), not %s", #call, natskv_code_name(code_), code_ == NATSKV_OK ? "" : err.message, natskv_code_name(expected_)); \
    } while (0)
#define CHECK_OK(call) CHECK_CODE(call, NATSKV_OK)
/* As CHECK_CODE, and the message says each of these. */
#define CHECK_SAYS(call, expected, ...) \
    do { \
        CHECK_CODE(call, expected); \
        const char *says_[] = {__VA_ARGS__}; \
        for (size_t i_ = 0; i_ < sizeof says_ / sizeof *says_; i_++) \
            if (!strstr(err.message, says_[i_])) FAIL("the message \"%s\" lacks \"%s\"", err.message, says_[i_]); \
    } while (0)

double seconds(void); /* monotonic */
void nap_ms(int ms);
long memory_kib(void); /* resident now */

natskv_options options_for(const char *url); /* defaults but for times that suit valgrind too */
natskv_client *client_of(const struct server *server);
natskv_client *client_with(natskv_options *options, const struct server *server); /* sets options->url */
/* A bucket of this name in memory with more JSON fields, such as ",\"history\":5"; any older one is deleted first. */
natskv_kv *fresh_bucket(natskv_client *client, const char *name, const char *more);
/* Puts `count` keys "k.0", "k.1", … with `size` bytes each, many in flight; gives the last revision. */
uint64_t fill(natskv_kv *kv, int count, size_t size);
int is_value(const natskv_entry *entry, const char *text);

/* Counts events of other threads; await gives up after 30 s. */
struct counter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    long count;
};
#define COUNTER {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}
void counter_add(struct counter *counter, long n);
long counter_get(struct counter *counter);
int counter_await(struct counter *counter, long at_least); /* false: it took too long */

struct test {
    const char *name;
    void (*run)(void);
};

/* Each file's tests; the last one has a NULL name. */
extern const struct test verb_tests[], null_tests[], watch_tests[], async_tests[], thread_tests[], loop_tests[], handle_tests[], many_tests[], connection_tests[], tls_tests[], auth_tests[], websocket_tests[];
/* A test over a table: one result per row. */
void run_one(const char *name, void (*run)(void));
void run_scenarios(void);

#endif
