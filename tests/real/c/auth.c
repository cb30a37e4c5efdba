/* Getting in, and being kept out: every kind of credentials, the right one beside the wrong ones, over TCP and WebSocket. */
#include "proof.h"

#include <stdlib.h>
#include <unistd.h>

static natskv_error err;

/* By the options of its own. */
static void give(natskv_options *options, const struct way_in *way)
{
    options->user_name = way->user;
    options->password = way->password;
    options->token = way->token;
    options->nkey_seed = way->nkey_seed;
    options->jwt = way->jwt;
}

static int says(const char *text, const char *secret)
{
    return secret && *secret && strstr(text, secret) != NULL;
}

/* What nobody may see is not in what everybody sees. */
static void check_kept(const struct way_in *way, const char *text)
{
    const char *secrets[] = {way->password, way->token, way->nkey_seed, way->jwt, way->creds_text};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (says(text, secrets[i]))
            FAIL("%s: a secret is in \"%s\"", way->as, text);
}

static void check_door(const struct way_in *way, natskv_options options)
{
    natskv_client *client;
    natskv_code code = natskv_connect(&options, &client, &err);
    if (code == NATSKV_OK) {
        char *info;
        CHECK_OK(natskv_flush(client, 0, &err));
        CHECK_OK(natskv_server_info(client, &info, &err));
        check_kept(way, info);
        natskv_string_free(info);
        natskv_client_free(client);
    } else {
        check_kept(way, err.message);
    }
    if (way->is_accepted ? code != NATSKV_OK : code != NATSKV_AUTH)
        FAIL("%s at %s: %s (%s)", way->as, options.url, natskv_code_name(code), code == NATSKV_OK ? "" : err.message);
}

static void each_kind_of_credentials_and_its_likes(void)
{
    const char *kinds[] = {"users", "token", "nkey", "jwt", "nkey wss", "jwt tls"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct proof proof;
        proof_start(&proof, kinds[i]);
        CHECK(proof.way_count >= 3);
        for (int at = 0; at < proof.way_count; at++) {
            const struct way_in *way = &proof.ways[at];
            const char *urls[] = {proof.url, proof.ws_url};
            for (int u = 0; u < 2; u++) {
                natskv_options options = options_for(urls[u]);
                if (proof.ca && strncmp(urls[u], "nats:", 5) != 0)
                    options.tls_ca_file = proof.ca;
                natskv_options given = options;
                give(&given, way);
                check_door(way, given);
                if (!way->creds)
                    continue;
                given = options;
                given.credentials = way->creds_text;
                check_door(way, given);
                given = options;
                given.credentials_file = way->creds;
                check_door(way, given);
            }
        }
        proof_end(&proof);
    }
}

static void credentials_in_a_url_win(void)
{
    struct proof proof;
    char url[128];
    proof_start(&proof, "users");
    snprintf(url, sizeof url, "nats://alice:p%%40ss%%2Fw%%C3%%B6rd%%3A%%2541%%20%%231@%s", proof.url + 7);
    natskv_options options = options_for(url);
    options.token = "nobody takes this";
    check_door(proof_way(&proof, "user and password"), options);
    snprintf(url, sizeof url, "nats://alice:wrong-secret@%s", proof.url + 7);
    check_door(proof_way(&proof, "a wrong password"), options);
    CHECK(!strstr(err.message, "alice:"));
    proof_end(&proof);
}

static void credentials_that_make_no_sense_are_refused(void)
{
    const struct {
        const char *user_name, *password, *token, *nkey_seed, *nkey, *jwt, *credentials, *file, *says;
    } rows[] = {
        {.user_name = "a", .token = "secret-text", .says = "exclude each other"},
        {.password = "secret-text", .says = "a user is needed"},
        {.nkey_seed = "SUsecret-text", .says = "nkey seed"},
        {.nkey = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4", .says = "someone who signs"},
        {.credentials = "secret-text", .says = "neither a JWT nor a seed"},
        {.file = "nowhere/my.creds", .says = "credentials_file \"nowhere/my.creds\": No such file"},
        {.file = "/dev/null", .says = "credentials_file \"/dev/null\": credentials: neither"},
        {.token = "secret-text", .file = "/dev/null", .says = "exclude each other"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        natskv_client *client;
        natskv_options options = options_for(shared.url);
        options.user_name = rows[i].user_name;
        options.password = rows[i].password;
        options.token = rows[i].token;
        options.nkey_seed = rows[i].nkey_seed;
        options.nkey = rows[i].nkey;
        options.jwt = rows[i].jwt;
        options.credentials = rows[i].credentials;
        options.credentials_file = rows[i].file;
        CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_INVALID_ARGUMENT, rows[i].says);
        CHECK(!strstr(err.message, "secret-text"));
    }
}

/* ── asked for */

struct asked {
    const struct way_in *ways[4]; /* one after the other, the last one for ever; NULL: none is given */
    int count;
    natskv_credentials_reason reasons[4];
    struct counter calls, connected, closed;
    natskv_code why;
};

static int32_t on_credentials(void *user, natskv_credentials_reason reason, natskv_credentials *answer)
{
    struct asked *asked = user;
    long call = counter_get(&asked->calls);
    const struct way_in *way = asked->ways[call < asked->count ? call : asked->count - 1];
    if (call < 4)
        asked->reasons[call] = reason;
    counter_add(&asked->calls, 1);
    if (!way)
        return 7;
    answer->user_name = way->user;
    answer->password = way->password;
    answer->token = way->token;
    answer->nkey_seed = way->nkey_seed;
    answer->jwt = way->jwt;
    return 0;
}

static void on_status(void *user, natskv_connection_state state, const natskv_error *error)
{
    struct asked *asked = user;
    counter_add(&asked->connected, state == NATSKV_STATE_CONNECTED);
    if (state == NATSKV_STATE_CLOSED) {
        asked->why = error ? error->code : NATSKV_OK;
        counter_add(&asked->closed, 1);
    }
}

static natskv_options asking(const struct proof *proof, struct asked *asked)
{
    natskv_options options = options_for(proof->url);
    options.on_credentials = on_credentials;
    options.on_status = on_status;
    options.user = asked;
    return options;
}

static void a_callback_is_asked_before_each_connection(void)
{
    struct proof proof;
    natskv_client *client;
    proof_start(&proof, "users");
    const struct way_in *right = proof_way(&proof, "user and password"), *wrong = proof_way(&proof, "a wrong password");
    struct asked asked = {.ways = {wrong, right}, .count = 2, .calls = COUNTER, .connected = COUNTER, .closed = COUNTER};
    natskv_options options = asking(&proof, &asked);
    CHECK_OK(natskv_connect(&options, &client, &err)); /* the first ones were old: a refusal asks for fresh ones */
    CHECK_EQ(counter_get(&asked.calls), 2);
    CHECK_EQ(asked.reasons[0], NATSKV_CREDENTIALS_FIRST);
    CHECK_EQ(asked.reasons[1], NATSKV_CREDENTIALS_REFUSED);
    CHECK(counter_await(&asked.connected, 1));
    proof_tell(&proof, "restart");
    CHECK(counter_await(&asked.connected, 2));
    CHECK(counter_get(&asked.calls) >= 3); /* attempts while the server was away asked too */
    CHECK_EQ(asked.reasons[2], NATSKV_CREDENTIALS_RECONNECT);
    natskv_client_free(client);

    struct asked stubborn = {.ways = {wrong}, .count = 1, .calls = COUNTER, .connected = COUNTER, .closed = COUNTER};
    options = asking(&proof, &stubborn);
    CHECK_CODE(natskv_connect(&options, &client, &err), NATSKV_AUTH);
    check_kept(wrong, err.message);
    CHECK_EQ(counter_get(&stubborn.calls), 2);
    struct asked silent = {.ways = {NULL}, .count = 1, .calls = COUNTER, .connected = COUNTER, .closed = COUNTER};
    options = asking(&proof, &silent);
    CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_AUTH, "on_credentials returned 7");
    proof_end(&proof);
}

static void a_client_on_ones_own_loop_asks_too(void)
{
    struct proof proof;
    natskv_client *client;
    proof_start(&proof, "token");
    struct asked asked = {.ways = {proof_way(&proof, "token")}, .count = 1, .calls = COUNTER, .connected = COUNTER, .closed = COUNTER};
    natskv_options options = asking(&proof, &asked);
    CHECK_OK(natskv_connect_external(&options, &client, &err));
    CHECK_EQ(counter_get(&asked.calls), 0); /* not before the loop runs */
    CHECK_EQ(natskv_timeout_ms(client), 0);
    CHECK_EQ(natskv_process(client, 0), NATSKV_OK);
    CHECK_EQ(counter_get(&asked.calls), 1);
    CHECK_OK(natskv_flush(client, 0, &err)); /* connects meanwhile */
    natskv_client_free(client);
    CHECK_OK(natskv_connect_external(&options, &client, &err));
    CHECK_OK(natskv_flush(client, 0, &err)); /* asks itself */
    CHECK_EQ(counter_get(&asked.calls), 2);
    natskv_client_free(client);
    proof_end(&proof);
}

static void what_expires_is_asked_for_anew(void)
{
    struct proof proof;
    natskv_client *client;
    proof_start(&proof, "jwt");
    struct way_in brief = proof_user(&proof, is_small ? 8 : 2);
    struct asked asked = {.ways = {&brief, proof_way(&proof, "JWT and seed")}, .count = 2, .calls = COUNTER, .connected = COUNTER, .closed = COUNTER};
    natskv_options options = asking(&proof, &asked);
    CHECK_OK(natskv_connect(&options, &client, &err));
    CHECK(counter_await(&asked.connected, 2));
    CHECK_EQ(asked.reasons[1], NATSKV_CREDENTIALS_EXPIRED);
    CHECK_OK(natskv_flush(client, 0, &err));
    proof_tell(&proof, "revoke"); /* of the second; and there is no third */
    CHECK(counter_await(&asked.closed, 1));
    CHECK_EQ(asked.why, NATSKV_AUTH);
    CHECK_SAYS(natskv_flush(client, 0, &err), NATSKV_CLOSED, "Authorization Violation");
    natskv_client_free(client);
    way_forget(&brief);
    proof_end(&proof);
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void a_renewed_file_is_taken_up(void)
{
    struct proof proof;
    natskv_client *client;
    char folder[64], name[80];
    struct asked asked = {.calls = COUNTER, .connected = COUNTER, .closed = COUNTER};
    folder_make(folder);
    snprintf(name, sizeof name, "%s/my.creds", folder);
    proof_start(&proof, "jwt");
    struct way_in brief = proof_user(&proof, is_small ? 8 : 2);
    write_file(name, brief.creds_text);
    natskv_options options = options_for(proof.url);
    options.credentials_file = name;
    options.on_status = on_status;
    options.user = &asked;
    CHECK_OK(natskv_connect(&options, &client, &err));
    write_file(name, proof_way(&proof, "JWT and seed")->creds_text);
    CHECK(counter_await(&asked.connected, 2)); /* the first one expired */
    CHECK_OK(natskv_flush(client, 0, &err));
    natskv_client_free(client);
    way_forget(&brief);
    folder_remove(folder);
    proof_end(&proof);
}

/* ── signed elsewhere: here by openssl, from the 32 bytes in the middle of a seed */

struct signer {
    char folder[64];
    int calls, is_wrong;
    char nonce[64];
};

static void make_key(struct signer *signer, const char *seed)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    static const unsigned char pkcs8[] = {0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20};
    unsigned char bytes[64] = {0};
    char name[80];
    size_t length = 0;
    unsigned bits = 0, count = 0;
    for (; *seed; seed++) {
        bits = bits << 5 | (unsigned)(strchr(alphabet, *seed) - alphabet);
        count += 5;
        if (count >= 8)
            bytes[length++] = (unsigned char)(bits >> (count -= 8));
    }
    CHECK_EQ(length, 36); /* two of kind, the seed, two of checksum */
    folder_make(signer->folder);
    snprintf(name, sizeof name, "%s/key.der", signer->folder);
    FILE *file = fopen(name, "wb");
    CHECK(file && fwrite(pkcs8, 1, sizeof pkcs8, file) == sizeof pkcs8 && fwrite(bytes + 2, 1, 32, file) == 32 && fclose(file) == 0);
}

static int32_t on_sign(void *user, const char *nonce, uint8_t *signature)
{
    struct signer *signer = user;
    char command[512], name[80];
    snprintf(signer->nonce, sizeof signer->nonce, "%s", nonce);
    snprintf(name, sizeof name, "%s/nonce", signer->folder);
    FILE *file = fopen(name, "w");
    if (!file || fputs(nonce, file) < 0 || fclose(file) != 0)
        return 1;
    snprintf(command, sizeof command, "openssl pkeyutl -sign -rawin -keyform DER -inkey %s/key.der -in %s -out %s/signature 2>%s/errors",
             signer->folder, name, signer->folder, signer->folder);
    snprintf(name, sizeof name, "%s/signature", signer->folder);
    if (system(command) != 0 || !(file = fopen(name, "rb")))
        return 2;
    size_t length = fread(signature, 1, 64, file);
    fclose(file);
    signature[0] ^= (uint8_t)signer->is_wrong;
    signer->calls++;
    return length == 64 ? 0 : 3;
}

static void a_seed_may_stay_elsewhere(void)
{
    const char *kinds[] = {"nkey", "jwt"};
    for (int i = 0; i < 2; i++) {
        struct proof proof;
        struct signer signer = {{0}, 0, 0, ""};
        natskv_client *client;
        proof_start(&proof, kinds[i]);
        const struct way_in *way = &proof.ways[0];
        make_key(&signer, way->nkey_seed);
        natskv_options options = options_for(proof.url);
        options.nkey = i == 0 ? way->nkey : NULL;
        options.jwt = way->jwt;
        options.on_sign = on_sign;
        options.user = &signer;
        check_door(way, options);
        CHECK_EQ(signer.calls, 1);
        CHECK(strlen(signer.nonce) >= 11);
        signer.is_wrong = 1;
        CHECK_CODE(natskv_connect(&options, &client, &err), NATSKV_AUTH);
        folder_remove(signer.folder);
        signer.folder[0] = '\0'; /* there is no key any more */
        CHECK_SAYS(natskv_connect(&options, &client, &err), NATSKV_AUTH, "on_sign returned");
        proof_end(&proof);
    }
}

/* ── what is let in may not do everything */

static natskv_client *user_of(const struct proof *proof, const char *name, const char *inbox_prefix)
{
    natskv_client *client;
    natskv_options options = options_for(proof->url);
    give(&options, proof_way(proof, name));
    options.inbox_prefix = inbox_prefix;
    CHECK_OK(natskv_connect(&options, &client, &err));
    return client;
}

static void a_forbidden_subject_is_named_at_once(void)
{
    struct proof proof;
    natskv_kv *kv, *own;
    natskv_entry *entry;
    proof_start(&proof, "permissions");
    natskv_client *admin = user_of(&proof, "admin", NULL);
    kv = fresh_bucket(admin, "proof", "");
    CHECK_OK(natskv_put_string(kv, "pub.a", "1", NULL, &err));
    natskv_client *reader = user_of(&proof, "reader", NULL);
    CHECK_OK(natskv_bucket_open(reader, "proof", &own, &err));
    CHECK_OK(natskv_get(own, "pub.a", &entry, &err));
    natskv_entry_free(entry);
    double start = seconds();
    CHECK_SAYS(natskv_put_string(own, "pub.a", "2", NULL, &err), NATSKV_PERMISSION, "$KV.proof.pub.a");
    CHECK(seconds() - start < 3); /* not after the timeout */
    natskv_kv_free(own);
    natskv_client_free(reader);
    natskv_client *inbox = user_of(&proof, "inbox", "_INBOX_inbox");
    CHECK_OK(natskv_bucket_open(inbox, "proof", &own, &err));
    CHECK_OK(natskv_put_string(own, "pub.a", "2", NULL, &err));
    natskv_kv_free(own);
    natskv_client_free(inbox);
    natskv_kv_free(kv);
    natskv_client_free(admin);
    proof_end(&proof);
}

const struct test auth_tests[] = {
    {"each kind of credentials and its likes", each_kind_of_credentials_and_its_likes},
    {"credentials in a URL win", credentials_in_a_url_win},
    {"credentials that make no sense are refused", credentials_that_make_no_sense_are_refused},
    {"a callback is asked before each connection", a_callback_is_asked_before_each_connection},
    {"a client on one's own loop asks too", a_client_on_ones_own_loop_asks_too},
    {"what expires is asked for anew", what_expires_is_asked_for_anew},
    {"a renewed file is taken up", a_renewed_file_is_taken_up},
    {"a seed may stay elsewhere", a_seed_may_stay_elsewhere},
    {"a forbidden subject is named at once", a_forbidden_subject_is_named_at_once},
    {NULL, NULL},
};
