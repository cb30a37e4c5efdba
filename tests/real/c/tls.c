/* TLS: whom the client trusts, whom it refuses and what it says then. The certificates are made here, by openssl. */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static natskv_error err;
static char folder[64]; /* of the certificates; "" until they are made */

/* Two authorities; what the first one signed: three servers and a client; and a client of the second. */
static const char MAKE[] =
    "set -e; cd \"$0\"\n"
    "new() { openssl req \"$@\" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes; }\n"
    "sign() { openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -copy_extensions copy -days $3 -out $4.pem; }\n"
    "for ca in ca other; do new -x509 -days 2 -subj /CN=$ca -keyout $ca.key -out $ca.pem; done\n"
    "new -subj /CN=server -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout server.key -out server.csr\n"
    "sign server ca 2 server; cp server.key expired.key; cp server.key early.key\n"
    "printf '[ca]\ndefault_ca=own\n[own]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n"
    "copy_extensions=copy\nunique_subject=no\n[any]\ncommonName=supplied\\n' >ca.conf; : >index\n"
    "dated() { openssl ca -batch -notext -config ca.conf -cert ca.pem -keyfile ca.key -startdate $1 -enddate $2 -in server.csr -out $3.pem; }\n"
    "dated 20200101000000Z 20210102030405Z expired; dated 20980101000000Z 20990101000000Z early\n"
    "new -subj /CN=localhost -addext basicConstraints=CA:FALSE -keyout nameless.key -out nameless.csr; sign nameless ca 2 nameless\n"
    "new -subj /CN=elsewhere -addext subjectAltName=DNS:elsewhere.example,DNS:*.east.example -keyout elsewhere.key -out elsewhere.csr\n"
    "sign elsewhere ca 2 elsewhere\n"
    "for who in me stranger; do new -subj /CN=$who -addext subjectAltName=DNS:$who -keyout $who.key -out $who.csr; done\n"
    "sign me ca 2 me; sign stranger other 2 stranger; cat me.pem me.key >both.pem\n"
    "openssl x509 -req -in me.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out ancient.pem\n"
    "openssl pkcs8 -topk8 -passout pass:x -in me.key -out encrypted.key\n"
    "echo nothing >nothing.pem\n";

static void run(const char *script)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(1);
        execlp("sh", "sh", "-c", script, folder, (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        FAIL("openssl did not make the certificates (is it installed?)");
}

static void remove_certificates(void)
{
    folder_remove(folder);
}

/* The path of one of the files; the last 32 answers stay. */
static const char *path(const char *name)
{
    static char paths[32][128];
    static int next;
    if (!*folder) {
        folder_make(folder);
        atexit(remove_certificates);
        run(MAKE);
    }
    char *result = paths[next++ % 32];
    snprintf(result, sizeof paths[0], "%s/%s", folder, name);
    return result;
}

static char *content(const char *name)
{
    static char texts[4][8192];
    static int next;
    char *text = texts[next++ % 4];
    FILE *file = fopen(path(name), "r");
    if (!file)
        FAIL("%s: %s", name, strerror(errno));
    text[fread(text, 1, sizeof texts[0] - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* A server with this certificate; `more` goes into its tls block. */
static struct server secure_server(const char *certificate, const char *more)
{
    struct server server;
    char config[1024], file[32], key[32];
    snprintf(file, sizeof file, "%s.pem", certificate);
    snprintf(key, sizeof key, "%s.key", certificate);
    snprintf(config, sizeof config, "tls { cert_file: \"%s\", key_file: \"%s\", ca_file: \"%s\", timeout: 60, %s }\nauthorization { timeout: 60 }\n",
             path(file), path(key), path("ca.pem"), more);
    server_start_with(&server, config);
    return server;
}

static natskv_options trusting(const struct server *server)
{
    natskv_options options = options_for(server->url);
    options.tls_ca_file = path("ca.pem");
    return options;
}

/* What was written is read back, on a new connection too. */
static void check_works(natskv_options options)
{
    natskv_client *client;
    natskv_entry *entry;
    CHECK_OK(natskv_connect(&options, &client, &err));
    natskv_kv *kv = fresh_bucket(client, "tls", "");
    CHECK_OK(natskv_put_string(kv, "a", "under TLS", NULL, &err));
    CHECK_OK(natskv_get(kv, "a", &entry, &err));
    CHECK(is_value(entry, "under TLS"));
    natskv_entry_free(entry);
    natskv_kv_free(kv);
    CHECK_OK(natskv_drain(client, &err));
    natskv_client_free(client);
}

#define CHECK_REFUSED(options, ...) \
    do { \
        natskv_client *client_; \
        CHECK_SAYS(natskv_connect(&(options), &client_, &err), NATSKV_TLS, __VA_ARGS__); \
    } while (0)

/* ── who is trusted */

static void an_authority_of_ones_own_is_trusted(void)
{
    struct server server = secure_server("server", "");
    natskv_options options = trusting(&server);
    check_works(options);
    options.tls_ca_file = NULL;
    options.tls_ca_pem = content("ca.pem");
    check_works(options);
    char url[64];
    snprintf(url, sizeof url, "tls://localhost:%d", server.port);
    options.url = url;
    check_works(options);
    server_end(&server);
}

static void the_authorities_of_the_system_are_those_of_the_environment(void)
{
    struct server server = secure_server("server", "");
    natskv_options options = options_for(server.url);
    CHECK_REFUSED(options, "TLS: ", "not signed by an authority that this system knows", "tls_ca_file");
    setenv("SSL_CERT_FILE", path("ca.pem"), 1);
    natskv_client *client;
    natskv_code code = natskv_connect(&options, &client, &err);
    unsetenv("SSL_CERT_FILE");
    CHECK_OK(code);
    natskv_client_free(client);
    server_end(&server);
}

static void another_authority_is_refused(void)
{
    struct server server = secure_server("server", "");
    natskv_options options = trusting(&server);
    options.tls_ca_file = path("other.pem");
    CHECK_REFUSED(options, server.url, "is not signed by an authority of tls_ca_file", "other.pem");
    options.tls_ca_file = NULL;
    options.tls_ca_pem = content("other.pem");
    CHECK_REFUSED(options, "is not signed by an authority of tls_ca_pem");
    server_end(&server);
}

static void a_certificate_for_another_name_is_refused(void)
{
    struct server server = secure_server("elsewhere", "");
    natskv_options options = trusting(&server);
    CHECK_REFUSED(options, "is not for 127.0.0.1 but for elsewhere.example, *.east.example");
    options.tls_hostname = "right.example";
    CHECK_REFUSED(options, "is not for right.example but for elsewhere.example, *.east.example");
    options.tls_hostname = "not a name";
    CHECK_REFUSED(options, "\"not a name\"", "neither a host name nor an address");
    options.tls_hostname = "elsewhere.example";
    check_works(options);
    options.tls_hostname = "a.east.example";
    check_works(options);
    server_end(&server);
    server = secure_server("nameless", "");
    options = trusting(&server);
    options.tls_hostname = "localhost"; /* its common name, which does not count */
    CHECK_REFUSED(options, "is not for localhost: it has no subjectAltName");
    server_end(&server);
}

static void a_certificate_out_of_its_time_is_refused(void)
{
    struct server server = secure_server("expired", "");
    natskv_options options = trusting(&server);
    CHECK_REFUSED(options, "the server's certificate expired at 2021-01-02T03:04:05Z");
    server_end(&server);
    server = secure_server("early", "");
    options = trusting(&server);
    CHECK_REFUSED(options, "the server's certificate is not valid before 2098-01-01T00:00:00Z");
    server_end(&server);
}

static void a_certificate_of_ones_own_making_is_refused(void)
{
    struct server server = secure_server("other", "");
    natskv_options options = trusting(&server);
    options.tls_ca_file = path("other.pem");
    CHECK_REFUSED(options, "is an authority's (CA:TRUE), not one for servers");
    options.tls_ca_file = NULL;
    options.tls_danger_accept_any_certificate = true;
    check_works(options);
    server_end(&server);
}

/* ── who we are */

static void a_client_certificate_is_shown_where_one_is_asked_for(void)
{
    struct server server = secure_server("server", "verify: true");
    natskv_options options = trusting(&server);
    CHECK_REFUSED(options, "the server asks for a client certificate", "tls_cert_file");
    options.tls_cert_file = path("me.pem");
    options.tls_key_file = path("me.key");
    check_works(options);
    options.tls_cert_file = options.tls_key_file = NULL;
    options.tls_cert_pem = content("me.pem");
    options.tls_key_pem = content("me.key");
    check_works(options);
    options.tls_cert_pem = options.tls_key_pem = NULL;
    options.tls_cert_file = path("both.pem");
    check_works(options);
    options.tls_cert_file = path("stranger.pem");
    options.tls_key_file = path("stranger.key");
    CHECK_REFUSED(options, "the server refuses", "stranger.pem");
    server_end(&server);
}

static void options_that_make_no_sense_are_refused(void)
{
    natskv_options none = options_for(shared.url);
    struct wrong {
        const char *ca_file, *ca_pem, *cert_file, *cert_pem, *key_file, *key_pem;
        const char *says, *says_too;
    } table[] = {
        {.ca_file = "nowhere/ca.pem", .says = "tls_ca_file \"nowhere/ca.pem\": ", .says_too = "No such file"},
        {.ca_file = path("nothing.pem"), .says = "no certificate in it"},
        {.ca_pem = "", .says = "tls_ca_pem: no certificate in it"},
        {.ca_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", .says = "certificate 1 is broken"},
        {.ca_file = path("ca.pem"), .ca_pem = "", .says = "both tls_ca_file and tls_ca_pem"},
        {.key_file = path("me.key"), .says = "tls_key_file", .says_too = "without the certificate"},
        {.cert_file = path("me.pem"), .says = "me.pem\": no private key in it"},
        {.cert_file = path("me.pem"), .key_file = path("stranger.key"), .says = "do not belong together"},
        {.cert_file = path("me.pem"), .key_file = path("encrypted.key"), .says = "the private key is encrypted"},
        {.cert_file = path("ancient.pem"), .key_file = path("me.key"), .says = "is of X.509 version 1"},
        {.cert_pem = "x", .key_pem = "x", .says = "tls_cert_pem: no certificate in it"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        natskv_client *client;
        natskv_options options = none;
        options.tls_ca_file = table[i].ca_file;
        options.tls_ca_pem = table[i].ca_pem;
        options.tls_cert_file = table[i].cert_file;
        options.tls_cert_pem = table[i].cert_pem;
        options.tls_key_file = table[i].key_file;
        options.tls_key_pem = table[i].key_pem;
        CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_INVALID_ARGUMENT, table[i].says,
                   table[i].says_too ? table[i].says_too : "");
        CHECK_CODE(natskv_connect_external(&options, &client, &err), NATSKV_INVALID_ARGUMENT);
    }
    natskv_client *client;
    natskv_options options = none;
    options.tls_ca_file = path("ca.pem");
    options.tls_danger_accept_any_certificate = true;
    CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_INVALID_ARGUMENT, "tls_danger_accept_any_certificate");
}

/* ── when it starts */

static void tls_that_is_not_offered_is_missed(void)
{
    natskv_options options = options_for(shared.url);
    options.tls = true;
    CHECK_REFUSED(options, "the server does not offer it");
    options.tls = false;
    options.tls_ca_file = path("ca.pem"); /* whoever names an authority means TLS */
    CHECK_REFUSED(options, "the server does not offer it");
    char url[64];
    snprintf(url, sizeof url, "tls://127.0.0.1:%d", shared.port);
    options = options_for(shared.url);
    options.url = url;
    CHECK_REFUSED(options, "the server does not offer it");
}

static void tls_can_come_first(void)
{
    struct server server = secure_server("server", "handshake_first: true");
    natskv_options options = trusting(&server);
    natskv_client *client;
    options.connect_timeout_ms = 500;
    CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_CONNECT_FAILED, "for INFO", "tls_first");
    options = trusting(&server);
    options.tls_first = true;
    check_works(options);
    options.tls_ca_file = path("other.pem");
    CHECK_REFUSED(options, "is not signed by an authority of tls_ca_file");
    server_end(&server);
}

static void tls_first_with_a_server_that_speaks_first_is_explained(void)
{
    struct server server = secure_server("server", "");
    natskv_options options = trusting(&server);
    options.tls_first = true;
    CHECK_REFUSED(options, "the server answers without TLS", "handshake_first");
    server_end(&server);
}

/* Ends what `child` runs, and waits for it. */
static void end(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* In TLS 1.2 the server's first words may come together with the end of its handshake. nats-server always speaks 1.3 with us, so
 * openssl is the server here, and this test the NATS in it. */
static void the_first_words_may_ride_on_the_handshake(void)
{
    struct server server = {0};
    natskv_options options = trusting(&server);
    int to[2], from[2];
    char port[16], line[4096] = "";
    CHECK(pipe(to) == 0 && pipe(from) == 0);
    struct server other; /* its port is free once it is gone */
    server_start(&other);
    server_end(&other);
    snprintf(port, sizeof port, "127.0.0.1:%d", other.port);
    pid_t child = fork();
    if (child == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[1]), close(from[0]);
        execlp("openssl", "openssl", "s_server", "-quiet", "-tls1_2", "-accept", port, "-cert", path("server.pem"), "-key",
               path("server.key"), (char *)NULL);
        _exit(127);
    }
    close(to[0]), close(from[1]);
    static const char info[] = "INFO {\"server_id\":\"x\",\"version\":\"2.15.1\",\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n";
    CHECK(write(to[1], info, sizeof info - 1) == sizeof info - 1);
    natskv_client *client;
    options.url = other.url;
    options.tls_first = true;
    options.retry_first_connect = true; /* openssl may not listen yet */
    CHECK_OK(natskv_connect_external(&options, &client, &err));
    size_t length = 0;
    for (double until = seconds() + 30; natskv_state(client) != NATSKV_STATE_CONNECTED;) {
        struct pollfd p[2] = {{natskv_fd(client), natskv_interest(client), 0}, {from[0], POLLIN, 0}};
        int64_t timeout = natskv_timeout_ms(client);
        poll(p, 2, timeout < 0 || timeout > 1000 ? 1000 : (int)timeout);
        if (p[1].revents & POLLIN) {
            ssize_t count = read(from[0], line + length, sizeof line - 1 - length);
            length += count > 0 ? (size_t)count : 0;
            if (strstr(line, "PING\r\n"))
                CHECK(write(to[1], "PONG\r\n", 6) == 6);
        }
        natskv_process(client, p[0].revents);
        if (seconds() > until) {
            end(child);
            FAIL("no connection; the server heard: %s", line);
        }
    }
    CHECK(strstr(line, "\"tls_required\":true"));
    natskv_client_free(client);
    end(child);
    close(to[1]), close(from[0]);
}

/* ── moving bytes */

static void large_values_pass_both_ways(void)
{
    struct server server = secure_server("server", "");
    natskv_options options = trusting(&server);
    natskv_client *client;
    CHECK_OK(natskv_connect(&options, &client, &err));
    natskv_kv *kv = fresh_bucket(client, "large", "");
    size_t sizes[] = {0, 1, 16383, 16384, 16385, 65536, 1000000, 1048000};
    char *value = malloc(1048576);
    for (size_t i = 0; i < 1048576; i++)
        value[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        natskv_entry *entry;
        CHECK_OK(natskv_put(kv, "v", value, sizes[i], NULL, &err));
        CHECK_OK(natskv_get(kv, "v", &entry, &err));
        natskv_slice read = natskv_entry_value(entry);
        CHECK_EQ(read.len, sizes[i]);
        CHECK(read.len == 0 || memcmp(read.data, value, read.len) == 0);
        natskv_entry_free(entry);
    }
    natskv_entries *history;
    CHECK_OK(natskv_history(kv, "v", &history, &err));
    natskv_entries_free(history);
    free(value);
    natskv_kv_free(kv);
    natskv_client_free(client);
    server_end(&server);
}

static void on_stored(void *user, natskv_reply *reply)
{
    int *stored = user;
    *stored += reply->code == NATSKV_OK;
}

static void on_there(void *user, natskv_reply *reply)
{
    natskv_kv **kv = user;
    *kv = reply->kv;
    reply->kv = NULL;
}

static int16_t turn(natskv_client *client, int longest_ms)
{
    struct pollfd p = {natskv_fd(client), natskv_interest(client), 0};
    int64_t timeout = natskv_timeout_ms(client);
    poll(&p, 1, timeout < 0 || timeout > longest_ms ? longest_ms : (int)timeout);
    natskv_process(client, p.revents);
    return natskv_interest(client);
}

static void a_full_socket_is_waited_for(void)
{
    struct server server = secure_server("server", "");
    natskv_options options = trusting(&server);
    natskv_client *client;
    natskv_kv *kv = NULL;
    int stored = 0, puts = is_small ? 12 : 40;
    natskv_config config;
    natskv_config_init(&config);
    config.bucket = "full";
    config.storage = NATSKV_STORAGE_MEMORY;
    options.request_timeout_ms = 120000;
    CHECK_OK(natskv_connect_external(&options, &client, &err));
    CHECK_EQ(natskv_bucket_create_async(client, &config, on_there, &kv, NULL), NATSKV_OK);
    for (double until = seconds() + 120; !kv && seconds() < until;)
        turn(client, 1000);
    CHECK(kv);
    CHECK_EQ(natskv_interest(client), POLLIN); /* nothing to write: no busy loop */
    server_freeze(&server);
    char *value = calloc(1, 1000000);
    for (int i = 0; i < puts; i++)
        CHECK_EQ(natskv_put_async(kv, "v", value, 1000000, on_stored, &stored, NULL), NATSKV_OK);
    int16_t interest = 0;
    for (double until = seconds() + 2; seconds() < until;)
        interest = turn(client, 100);
    CHECK_EQ(interest, POLLIN | POLLOUT); /* more is left than the frozen server's socket takes */
    CHECK_EQ(stored, 0);
    server_thaw(&server);
    for (double until = seconds() + 120; stored < puts && seconds() < until;)
        turn(client, 1000);
    CHECK_EQ(stored, puts);
    CHECK_EQ(natskv_interest(client), POLLIN);
    free(value);
    natskv_kv_free(kv);
    natskv_client_free(client);
    server_end(&server);
}

/* ── staying connected */

struct seen {
    struct counter connected, closed;
};

static void on_status(void *user, natskv_connection_state state, const natskv_error *error)
{
    struct seen *seen = user;
    (void)error;
    counter_add(&seen->connected, state == NATSKV_STATE_CONNECTED);
    counter_add(&seen->closed, state == NATSKV_STATE_CLOSED);
}

static void renewed_certificates_are_taken_up(void)
{
    struct server server = secure_server("server", "");
    struct seen seen = {COUNTER, COUNTER};
    natskv_options options = options_for(server.url);
    natskv_client *client;
    run("set -e; cd \"$0\"; cp ca.pem current.pem; cp server.pem kept.pem");
    options.tls_ca_file = path("current.pem");
    options.on_status = on_status;
    options.user = &seen;
    CHECK_OK(natskv_connect(&options, &client, &err));
    CHECK(counter_await(&seen.connected, 1));
    server_kill(&server);
    run("set -e; cd \"$0\"; cp other.pem current.pem\n"
        "openssl x509 -req -in server.csr -CA other.pem -CAkey other.key -CAcreateserial -copy_extensions copy -days 2 -out server.pem");
    server_restart(&server);
    CHECK(counter_await(&seen.connected, 2));
    CHECK_OK(natskv_flush(client, 0, &err));
    natskv_client_free(client);
    CHECK_EQ(counter_get(&seen.closed), 1);
    run("cd \"$0\"; mv kept.pem server.pem");
    server_end(&server);
}

struct writer {
    natskv_kv *kv;
    int number, rounds, wrong;
};

static void *write_and_read(void *user)
{
    struct writer *writer = user;
    char key[32], value[32];
    for (int i = 0; i < writer->rounds; i++) {
        natskv_entry *entry = NULL;
        snprintf(key, sizeof key, "t.%d", writer->number);
        snprintf(value, sizeof value, "%d/%d", writer->number, i);
        writer->wrong += natskv_put_string(writer->kv, key, value, NULL, NULL) != NATSKV_OK;
        writer->wrong += natskv_get(writer->kv, key, &entry, NULL) != NATSKV_OK || !is_value(entry, value);
        natskv_entry_free(entry);
    }
    return NULL;
}

static void threads_share_a_client_under_tls(void)
{
    struct server server = secure_server("server", "");
    natskv_options options = trusting(&server);
    natskv_client *client;
    struct writer writers[6];
    pthread_t threads[6];
    CHECK_OK(natskv_connect(&options, &client, &err));
    natskv_kv *kv = fresh_bucket(client, "threads", "");
    for (int i = 0; i < 6; i++) {
        writers[i] = (struct writer){kv, i, is_small ? 10 : 500, 0};
        pthread_create(&threads[i], NULL, write_and_read, &writers[i]);
    }
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 6; i++)
        CHECK_EQ(writers[i].wrong, 0);
    natskv_kv_free(kv);
    natskv_client_free(client);
    server_end(&server);
}

const struct test tls_tests[] = {
    {"an authority of one's own is trusted", an_authority_of_ones_own_is_trusted},
    {"the authorities of the system are those of the environment", the_authorities_of_the_system_are_those_of_the_environment},
    {"another authority is refused", another_authority_is_refused},
    {"a certificate for another name is refused", a_certificate_for_another_name_is_refused},
    {"a certificate out of its time is refused", a_certificate_out_of_its_time_is_refused},
    {"a certificate of one's own making is refused", a_certificate_of_ones_own_making_is_refused},
    {"a client certificate is shown where one is asked for", a_client_certificate_is_shown_where_one_is_asked_for},
    {"options of TLS that make no sense are refused", options_that_make_no_sense_are_refused},
    {"TLS that is not offered is missed", tls_that_is_not_offered_is_missed},
    {"TLS can come first", tls_can_come_first},
    {"TLS first with a server that speaks first is explained", tls_first_with_a_server_that_speaks_first_is_explained},
    {"the first words may ride on the handshake", the_first_words_may_ride_on_the_handshake},
    {"large values pass both ways under TLS", large_values_pass_both_ways},
    {"a full socket is waited for under TLS", a_full_socket_is_waited_for},
    {"renewed certificates are taken up", renewed_certificates_are_taken_up},
    {"threads share a client under TLS", threads_share_a_client_under_tls},
    {NULL, NULL},
};
