/* libnatskv at the doors that `cargo xtask test access` tries. Reads a door a line, knocks, and answers with a line: the code, and all
 * that the client tells of itself. Asks with {"sign": nonce} where a signature is to come from elsewhere. */
#include "json.h"

#include <natskv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *hear(void)
{
    size_t size = 0;
    char *line = NULL;
    if (getline(&line, &size, stdin) > 0)
        return line;
    free(line);
    return NULL;
}

/* What was told, as it goes into a JSON text. */
struct shown {
    char text[65536];
    size_t length;
};

static void show(struct shown *shown, const char *text)
{
    for (; *text && shown->length < sizeof shown->text - 3; text++) {
        if (*text == '"' || *text == '\\')
            shown->text[shown->length++] = '\\';
        shown->text[shown->length++] = (unsigned char)*text < ' ' ? ' ' : *text;
    }
    shown->text[shown->length++] = ' ';
    shown->text[shown->length] = '\0';
}

static void on_status(void *user, natskv_connection_state state, const natskv_error *error)
{
    (void)state;
    if (error)
        show(user, error->message);
}

static void on_notice(void *user, natskv_notice kind, const char *text)
{
    (void)kind;
    show(user, text);
}

static int32_t on_sign(void *user, const char *nonce, uint8_t *signature)
{
    (void)user;
    printf("{\"sign\":\"%s\"}\n", nonce);
    fflush(stdout);
    char *line = hear();
    char *hex = line ? json_text(line, line + strlen(line), "signature") : NULL;
    int is_whole = hex && strlen(hex) == 128;
    for (int at = 0; is_whole && at < 64; at++) {
        unsigned byte;
        is_whole = sscanf(hex + 2 * at, "%2x", &byte) == 1;
        signature[at] = (uint8_t)byte;
    }
    free(hex), free(line);
    return is_whole ? 0 : 1;
}

static natskv_code use(natskv_client *client, const char *bucket, int opens, struct shown *shown, natskv_error *err)
{
    natskv_kv *kv = NULL;
    natskv_entry *entry = NULL;
    char *info = NULL, text[256];
    natskv_code code = natskv_server_info(client, &info, err);
    if (code == NATSKV_OK) {
        show(shown, info);
        natskv_string_free(info);
        snprintf(text, sizeof text, "{\"bucket\":\"%s\",\"storage\":\"memory\"}", bucket);
        code = opens ? natskv_bucket_open(client, bucket, &kv, err) : natskv_bucket_create_json(client, text, &kv, err);
    }
    if (code == NATSKV_OK)
        code = natskv_put_string(kv, "k", "v", NULL, err);
    if (code == NATSKV_OK)
        code = natskv_get(kv, "k", &entry, err);
    if (code == NATSKV_OK) {
        natskv_slice value = natskv_entry_value(entry);
        snprintf(text, sizeof text, "%s=%.*s", natskv_entry_key(entry), (int)value.len, (const char *)value.data);
        show(shown, text);
        if (strcmp(text, "k=v") != 0)
            code = NATSKV_INTERNAL;
    }
    natskv_entry_free(entry);
    natskv_kv_free(kv);
    return code;
}

int main(void)
{
    static struct shown shown;
    for (char *door; (door = hear()) != NULL; free(door)) {
        const char *end = door + strlen(door);
        const char *names[] = {"url", "user", "password", "token", "nkey_seed", "nkey", "jwt", "creds", "ca", "certificate", "key", "tls_hostname", "inbox_prefix", "bucket"};
        char *texts[sizeof names / sizeof *names];
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            texts[i] = json_text(door, end, names[i]);
        natskv_options options;
        natskv_options_init(&options);
        options.url = texts[0], options.user_name = texts[1], options.password = texts[2], options.token = texts[3];
        options.nkey_seed = texts[4], options.nkey = texts[5], options.jwt = texts[6], options.credentials_file = texts[7];
        options.tls_ca_file = texts[8], options.tls_cert_file = texts[9], options.tls_key_file = texts[10];
        options.tls_hostname = texts[11], options.inbox_prefix = texts[12];
        options.tls = strstr(door, "\"tls\":true") != NULL;
        options.tls_first = strstr(door, "\"tls_first\":true") != NULL;
        options.on_sign = strstr(door, "\"sign\":true") ? on_sign : NULL;
        options.on_status = on_status;
        options.on_notice = on_notice;
        options.user = &shown;
        shown.length = 0;
        show(&shown, "");

        natskv_client *client = NULL;
        natskv_error err;
        natskv_code code = natskv_connect(&options, &client, &err);
        if (code == NATSKV_OK)
            code = use(client, texts[13] ? texts[13] : "access", strstr(door, "\"opens\":true") != NULL, &shown, &err);
        natskv_client_free(client); /* from here on nobody else shows anything */
        if (code != NATSKV_OK)
            show(&shown, err.message);
        printf("{\"code\":\"%s\",\"shown\":\"%s\"}\n", natskv_code_name(code) + strlen("NATSKV_"), shown.text);
        fflush(stdout);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            free(texts[i]);
    }
    return 0;
}
