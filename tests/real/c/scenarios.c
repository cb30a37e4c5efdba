/* Runs tests/scenarios through the blocking, typed API, and through natskv_execute. */
#include "scenarios.h"

#include "harness.h"

#include <ctype.h>
#include <stdlib.h>

#define MAX_WATCHES 8

/* What the running scenario holds. */
static struct {
    const struct scenario *scenario;
    int is_execute; /* through natskv_execute, where it takes the step */
    size_t at;      /* the step that runs */
    natskv_client *client;
    natskv_kv *kv;
    struct {
        const char *name;
        natskv_watcher *watcher;
    } watches[MAX_WATCHES];
    /* what the step answered */
    natskv_code code;
    natskv_error err;
    uint64_t revision, number;
    natskv_entry *entries[512];
    size_t entry_count;
    natskv_keys_list *names;
    natskv_bucket_status *status;
    char *reply;
} run;

#define FAIL_STEP(...) fail_step(__LINE__, __VA_ARGS__)

static void fail_step(int line, const char *what, const char *got)
{
    fail_at(__FILE__, line, "step %zu: %s%s", run.at + 1, what, got);
}

static void check_entry(const struct want_entry *want, const natskv_entry *entry);
static void check_number(const char *what, struct want_u64 want, uint64_t got);

static void forget_answer(void)
{
    while (run.entry_count > 0)
        natskv_entry_free(run.entries[--run.entry_count]);
    natskv_keys_list_free(run.names);
    natskv_status_free(run.status);
    natskv_string_free(run.reply);
    run.names = NULL;
    run.status = NULL;
    run.reply = NULL;
    run.revision = run.number = 0;
}

static void keep_entry(natskv_entry *entry)
{
    if (run.entry_count == sizeof run.entries / sizeof *run.entries)
        FAIL_STEP("more entries than this runner holds", "");
    run.entries[run.entry_count++] = entry;
}

/* ── doing */

/* The options that `handle` describes; NULL where it says nothing. */
static const natskv_handle_options *options_of(const struct handle *handle, natskv_on_drift on_drift, natskv_handle_options *options)
{
    if (!handle->is_given && on_drift == NATSKV_DRIFT_ERROR)
        return NULL;
    natskv_handle_options_init(options);
    options->key_policy = (int32_t)handle->key_policy;
    options->leader_reads = handle->leader_reads;
    options->read_only = handle->read_only;
    options->reserved_keys = handle->reserved_keys;
    options->on_drift = (int32_t)on_drift;
    return options;
}

static void set_bucket(natskv_config *config, set_config set, const natskv_handle_options *handle)
{
    natskv_config_init(config);
    set(config);
    config->handle = handle;
}

static natskv_code create_bucket(set_config set, const char *json, const natskv_handle_options *handle, natskv_kv **kv)
{
    natskv_config config;
    if (json)
        return natskv_bucket_create_json_with(run.client, json, handle, kv, &run.err);
    set_bucket(&config, set, handle);
    return natskv_bucket_create(run.client, &config, kv, &run.err);
}

/* The handle is what was asked for. */
static void check_opened(const struct step *step, const natskv_kv *kv)
{
    if (step->key_policy && natskv_kv_key_policy(kv) != step->key_policy)
        FAIL_STEP("another key policy", "");
    if (step->read_only != NOT_GIVEN && natskv_kv_read_only(kv) != (step->read_only == GIVEN_TRUE))
        FAIL_STEP("read-only is the other way round", "");
    if (!step->has_drift)
        return;
    for (size_t i = 0; i < natskv_kv_drift_count(kv) || i < step->drift_count; i++)
        if (i >= step->drift_count || i >= natskv_kv_drift_count(kv) || strcmp(step->drift[i], natskv_kv_drift_at(kv, i)) != 0)
            FAIL_STEP("the drift is another one: ", i < natskv_kv_drift_count(kv) ? natskv_kv_drift_at(kv, i) : "nothing more");
}

static natskv_code start_watch(natskv_kv *kv, const struct step *step, natskv_watcher **watcher)
{
    natskv_watch_options options;
    natskv_watch_options_init(&options);
    options.include_history = step->flags.include_history;
    options.ignore_deletes = step->flags.ignore_deletes;
    options.meta_only = step->flags.meta_only;
    options.updates_only = step->flags.updates_only;
    options.resume_from_revision = step->flags.resume_from_revision;
    return natskv_watch(kv, step->filters, step->filter_count, &options, watcher, &run.err);
}

/* WATCH as an operation: the current picture. */
static natskv_code picture(natskv_kv *kv, const struct step *step)
{
    natskv_watcher *watcher;
    natskv_entry *entry;
    natskv_code code = start_watch(kv, step, &watcher);
    if (code != NATSKV_OK)
        return code;
    while ((code = natskv_watcher_next(watcher, 5000, &entry, &run.err)) == NATSKV_OK)
        keep_entry(entry);
    natskv_watcher_free(watcher);
    return code == NATSKV_CAUGHT_UP ? NATSKV_OK : code;
}

/* A list of entries is checked here, since it lives no longer. */
static void check_entries(const struct step *step, natskv_entries *entries)
{
    size_t kept = 0;
    if (step->as_of.is_given)
        check_number("as_of", step->as_of, natskv_entries_as_of(entries));
    for (size_t i = 0; step->has_entries && i < natskv_entries_count(entries); i++) {
        const natskv_entry *entry = natskv_entries_at(entries, i);
        if (step->verb == DO_HISTORY && !step->include_deleted && natskv_entry_operation(entry) != NATSKV_PUT)
            continue;
        if (kept >= step->entry_count)
            FAIL_STEP("more entries than expected, such as one of ", natskv_entry_key(entry));
        check_entry(&step->entries[kept++], entry);
    }
    if (kept != step->entry_count)
        FAIL_STEP("fewer entries than expected", "");
    natskv_entries_free(entries);
}

static natskv_code list_entries(natskv_kv *kv, const struct step *step)
{
    natskv_entries *entries;
    natskv_code code = step->verb == DO_HISTORY ? natskv_history(kv, step->key, &entries, &run.err)
        : step->verb == DO_GET_MANY             ? natskv_get_many(kv, step->filters, step->filter_count, &entries, &run.err)
                                                : natskv_list_entries(kv, step->filters, step->filter_count, &entries, &run.err);
    if (code == NATSKV_OK)
        check_entries(step, entries);
    return code;
}

/* Where results are expected, they say it all. */
static natskv_code put_many(natskv_kv *kv, const struct step *step)
{
    natskv_result *results = calloc(step->item_count + 1, sizeof *results);
    natskv_code code = natskv_put_many(kv, step->items, step->item_count, results, &run.err);
    for (size_t i = 0; i < step->result_count; i++) {
        size_t at = 0;
        while (at < step->item_count && strcmp(step->items[at].key, step->results[i].key) != 0)
            at++;
        if (at == step->item_count || results[at].code != step->results[i].code || results[at].revision != step->results[i].revision)
            FAIL_STEP("another result of ", step->results[i].key);
    }
    free(results);
    return step->result_count > 0 ? NATSKV_OK : code;
}

static natskv_code get(natskv_kv *kv, const struct step *step)
{
    natskv_entry *entry;
    natskv_code code = step->verb == DO_ENTRY ? natskv_get_entry(kv, step->key, &entry, &run.err)
        : step->has_revision                  ? natskv_get_revision(kv, step->key, step->revision, &entry, &run.err)
                                              : natskv_get(kv, step->key, &entry, &run.err);
    if (code == NATSKV_OK)
        keep_entry(entry);
    return code;
}

static natskv_code write_value(natskv_kv *kv, const struct step *step)
{
    char *made = NULL;
    const char *value = step->value.data;
    size_t len = step->value.len;
    natskv_code code;
    if (!value && len > 0)
        value = made = memset(malloc(len), 'x', len);
    natskv_write_options options;
    natskv_write_options_init(&options);
    options.expected_revision = step->revision;
    options.ttl_ms = step->ttl_ms;
    if (step->verb == DO_CREATE)
        code = natskv_create(kv, step->key, value, len, step->ttl_ms, &run.revision, &run.err);
    else if (step->ttl_ms > 0)
        code = natskv_put_with(kv, step->key, value, len, &options, &run.revision, &run.err);
    else if (step->verb == DO_UPDATE || step->has_revision)
        code = natskv_update(kv, step->key, value, len, step->revision, &run.revision, &run.err);
    else
        code = natskv_put(kv, step->key, value, len, &run.revision, &run.err);
    free(made);
    return code;
}

static natskv_code remove_key(natskv_kv *kv, const struct step *step)
{
    natskv_write_options options;
    natskv_write_options_init(&options);
    options.expected_revision = step->revision;
    options.ttl_ms = step->ttl_ms;
    return step->verb == DO_DELETE ? natskv_delete(kv, step->key, &options, &run.revision, &run.err)
                                   : natskv_purge(kv, step->key, &options, &run.revision, &run.err);
}

static natskv_code administer(const struct step *step)
{
    natskv_config config;
    natskv_handle_options options;
    const natskv_handle_options *handle = options_of(&step->handle, step->on_drift, &options);
    natskv_kv *kv = NULL;
    natskv_code code = NATSKV_INTERNAL;
    if (step->verb == DO_DELETE_BUCKET)
        return natskv_bucket_delete(run.client, step->bucket, &run.err);
    if (step->verb == DO_BUCKETS)
        return natskv_bucket_names(run.client, &run.names, &run.err);
    if (step->verb == DO_OPEN_BUCKET)
        code = natskv_bucket_open_with(run.client, step->bucket, handle, &kv, &run.err);
    else if (step->verb == DO_CREATE_BUCKET)
        code = create_bucket(step->config, step->config_json, handle, &kv);
    else if (step->config_json)
        FAIL_STEP("C has no JSON form for this", "");
    else {
        set_bucket(&config, step->config, handle);
        code = step->verb == DO_UPDATE_BUCKET ? natskv_bucket_update(run.client, &config, &kv, &run.err)
                                              : natskv_bucket_create_or_update(run.client, &config, &kv, &run.err);
    }
    if (code == NATSKV_OK)
        check_opened(step, kv);
    natskv_kv_free(kv);
    return code;
}

static natskv_code operate(natskv_kv *kv, const struct step *step)
{
    switch (step->verb) {
    case DO_PUT:
    case DO_CREATE:
    case DO_UPDATE: return write_value(kv, step);
    case DO_GET:
    case DO_ENTRY: return get(kv, step);
    case DO_DELETE:
    case DO_PURGE: return remove_key(kv, step);
    case DO_HISTORY:
    case DO_GET_MANY:
    case DO_ENTRIES: return list_entries(kv, step);
    case DO_PUT_MANY: return put_many(kv, step);
    case DO_TOUCH: return natskv_touch(kv, step->key, step->ttl_ms, &run.revision, &run.err);
    case DO_COUNT: return natskv_count(kv, step->filters, step->filter_count, &run.number, &run.err);
    case DO_CLEAR: return natskv_clear(kv, step->key, NULL, NULL, &run.number, &run.err);
    case DO_LIST: return natskv_keys(kv, step->filters, step->filter_count, &run.names, &run.err);
    case DO_WATCH: return picture(kv, step);
    case DO_PURGE_DELETES: return natskv_purge_deletes(kv, step->older_than_ms, NULL, NULL, &run.number, &run.err);
    case DO_STATUS: return natskv_status(kv, &run.status, &run.err);
    case DO_CREATE_BUCKET:
    case DO_UPDATE_BUCKET:
    case DO_CREATE_OR_UPDATE_BUCKET:
    case DO_DELETE_BUCKET:
    case DO_OPEN_BUCKET:
    case DO_BUCKETS: break;
    }
    return administer(step);
}

static natskv_code execute(natskv_kv *kv, const struct step *step)
{
    size_t len = strlen(step->json);
    char *json = malloc(len + step->json_fill + 3);
    memcpy(json, step->json, len + 1);
    if (step->json_fill > 0) {
        memset(json + len, 'x', step->json_fill);
        strcpy(json + len + step->json_fill, "\"}");
    }
    natskv_code code = natskv_execute(kv, json, &run.reply, &run.err);
    free(json);
    return code;
}

/* Another bucket than the scenario's, or another handle on it, where the step names one. */
static natskv_code open_other(const struct step *step, natskv_kv **other)
{
    natskv_handle_options options;
    if (!step->bucket && !step->handle.is_given)
        return NATSKV_OK;
    const char *bucket = step->bucket ? step->bucket : natskv_kv_bucket(run.kv);
    const natskv_handle_options *handle = options_of(&step->handle, NATSKV_DRIFT_ERROR, &options);
    return natskv_bucket_open_with(run.client, bucket, handle, other, &run.err);
}

static natskv_code do_step(const struct step *step)
{
    int is_admin = step->verb >= DO_CREATE_BUCKET;
    natskv_kv *other = NULL;
    natskv_code code = is_admin ? NATSKV_OK : open_other(step, &other);
    if (code != NATSKV_OK)
        return code;
    code = (run.is_execute && step->json ? execute : operate)(other ? other : run.kv, step);
    natskv_kv_free(other);
    return code;
}

static natskv_watcher **watch_named(const char *name)
{
    for (int i = 0; i < MAX_WATCHES; i++)
        if (run.watches[i].name && strcmp(run.watches[i].name, name) == 0)
            return &run.watches[i].watcher;
    FAIL_STEP("no watch ", name);
    return NULL;
}

static natskv_code watch_step(const struct step *step)
{
    int slot = 0;
    natskv_kv *other = NULL;
    while (run.watches[slot].name)
        slot++;
    natskv_code code = open_other(step, &other);
    if (code == NATSKV_OK)
        code = start_watch(other ? other : run.kv, step, &run.watches[slot].watcher);
    natskv_kv_free(other);
    if (code == NATSKV_OK)
        run.watches[slot].name = step->watch;
    return code;
}

static natskv_code next_step(const struct step *step)
{
    natskv_entry *entry;
    natskv_watcher *watcher = *watch_named(step->watch);
    natskv_code code = natskv_watcher_next(watcher, step->next == NEXT_NOTHING ? 200 : 25000, &entry, &run.err);
    if (code == NATSKV_OK)
        keep_entry(entry);
    if (step->next == NEXT_CAUGHT_UP || step->next == NEXT_NOTHING) {
        natskv_code wanted = step->next == NEXT_NOTHING ? NATSKV_TIMEOUT : NATSKV_CAUGHT_UP;
        if (code != wanted)
            FAIL_STEP("the watch gave ", code == NATSKV_OK ? natskv_entry_key(entry) : natskv_code_name(code));
        return NATSKV_OK;
    }
    return code;
}

static natskv_code stop_step(const struct step *step)
{
    natskv_entry *entry;
    natskv_watcher *watcher = *watch_named(step->watch);
    if (natskv_watcher_stop(watcher) != NATSKV_OK)
        FAIL_STEP("stop failed", "");
    if (natskv_watcher_next(watcher, 5000, &entry, &run.err) != NATSKV_CLOSED)
        FAIL_STEP("a stopped watch goes on", "");
    for (int i = 0; i < MAX_WATCHES; i++)
        if (run.watches[i].watcher == watcher)
            run.watches[i].name = NULL; /* another one may have the name now */
    natskv_watcher_free(watcher);
    return NATSKV_OK;
}

/* ── checking */

static void check_number(const char *what, struct want_u64 want, uint64_t got)
{
    char text[96];
    snprintf(text, sizeof text, " is %llu, not %llu", (unsigned long long)got, (unsigned long long)want.value);
    if (want.is_given && want.value != got)
        FAIL_STEP(what, text);
}

static int is_bytes(struct bytes want, natskv_slice got)
{
    if (want.len != got.len)
        return 0;
    for (size_t i = 0; i < got.len; i++)
        if (got.data[i] != (want.data ? want.data[i] : 'x'))
            return 0;
    return 1;
}

static void check_entry(const struct want_entry *want, const natskv_entry *entry)
{
    if (want->key && strcmp(want->key, natskv_entry_key(entry)) != 0)
        FAIL_STEP("the key is ", natskv_entry_key(entry));
    if (want->operation && strcmp(want->operation, natskv_operation_name(natskv_entry_operation(entry))) != 0)
        FAIL_STEP("the operation is ", natskv_operation_name(natskv_entry_operation(entry)));
    if (want->has_value && !is_bytes(want->value, natskv_entry_value(entry)))
        FAIL_STEP("another value of ", natskv_entry_key(entry));
    check_number("length", want->length, natskv_entry_length(entry));
    check_number("revision", want->revision, natskv_entry_revision(entry));
    check_number("delta", want->delta, natskv_entry_delta(entry));
    check_number("ttl_ms", want->ttl_ms, (uint64_t)natskv_entry_ttl_ms(entry));
    if (want->raw_key && strcmp(want->raw_key, natskv_entry_raw_key(entry)) != 0)
        FAIL_STEP("the stored key is ", natskv_entry_raw_key(entry));
    const char *bucket = run.scenario->steps[run.at].bucket;
    if (strcmp(natskv_entry_bucket(entry), bucket ? bucket : natskv_kv_bucket(run.kv)) != 0)
        FAIL_STEP("the entry's bucket is ", natskv_entry_bucket(entry));
}

static int by_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static void check_names(const struct step *step)
{
    size_t count = natskv_keys_list_count(run.names);
    const char **names = malloc((count + 1) * sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = natskv_keys_list_at(run.names, i);
    qsort(names, count, sizeof *names, by_text);
    for (size_t i = 0; i < step->name_count; i++)
        if (i >= count || strcmp(names[i], step->names[i]) != 0)
            FAIL_STEP("missing in the list: ", step->names[i]);
    if (count != step->name_count)
        FAIL_STEP("too much in the list: ", names[step->name_count]);
    free(names);
}

static void check_status(const struct want_status *want)
{
    const char *storage = natskv_status_storage(run.status) == NATSKV_STORAGE_MEMORY ? "memory" : "file";
    if (want->bucket && strcmp(want->bucket, natskv_status_bucket(run.status)) != 0)
        FAIL_STEP("the bucket is ", natskv_status_bucket(run.status));
    if (want->storage && strcmp(want->storage, storage) != 0)
        FAIL_STEP("the storage is ", storage);
    if (want->compressed != NOT_GIVEN && natskv_status_compressed(run.status) != (want->compressed == GIVEN_TRUE))
        FAIL_STEP("compressed is the other way round", "");
    if (want->key_policy && natskv_status_key_policy(run.status) != want->key_policy)
        FAIL_STEP("another key policy", "");
    check_number("values", want->values, natskv_status_values(run.status));
    check_number("history", want->history, (uint64_t)natskv_status_history(run.status));
    check_number("ttl_ms", want->ttl_ms, (uint64_t)natskv_status_ttl_ms(run.status));
    check_number("replicas", want->replicas, (uint64_t)natskv_status_replicas(run.status));
    for (size_t i = 0; i < want->metadata_count; i++) {
        const char *name, *value;
        size_t at = 0;
        while (natskv_status_metadata_at(run.status, at, &name, &value) && strcmp(name, want->metadata[2 * i]) != 0)
            at++;
        if (at == natskv_status_metadata_count(run.status) || strcmp(value, want->metadata[2 * i + 1]) != 0)
            FAIL_STEP("metadata lacks ", want->metadata[2 * i]);
    }
}

static void check_error(const struct step *step)
{
    if (run.err.code != step->code)
        FAIL_STEP("the error's code is ", natskv_code_name(run.err.code));
    for (size_t i = 0; i < step->says_count; i++)
        if (!strstr(run.err.message, step->says[i]))
            FAIL_STEP("the message lacks what it should say: ", run.err.message);
    check_number("the error's revision", step->error_revision, run.err.revision);
    check_number("api_code", step->api_code, run.err.api_code);
}

/* What follows the first `text`; a number must be whole. NULL where there is none. */
static const char *after(const char *text, const char *from)
{
    size_t len = strlen(text);
    while ((from = strstr(from, text)) != NULL) {
        from += len;
        if (!isdigit((unsigned char)text[len - 1]) || !isdigit((unsigned char)*from))
            return from;
    }
    return NULL;
}

/* What natskv_execute replied, as text: C has no JSON parser. Fields come in the order of their names, and values are base64, so
 * that nothing can look like a field that is none. */
static void check_reply(const struct step *step)
{
    const char *from = run.reply;
    size_t entries = 0;
    for (size_t i = 0; i < step->reply_count; i++) {
        from = after(step->reply[i], from);
        if (!from)
            FAIL_STEP("the reply lacks ", step->reply[i]);
    }
    for (from = run.reply; (from = strstr(from, "\"operation\":\"")) != NULL; from++)
        entries++;
    check_number("the number of entries", step->reply_entries, entries);
}

static void check_answer(const struct step *step)
{
    char text[400];
    if (run.reply) {
        check_reply(step);
        return;
    }
    if (run.code != step->code) {
        snprintf(text, sizeof text, "%s (%s), not %s", natskv_code_name(run.code), run.code == NATSKV_OK ? "" : run.err.message,
                 natskv_code_name(step->code));
        FAIL_STEP("gave ", text);
    }
    if (step->code != NATSKV_OK) {
        check_error(step);
        return;
    }
    check_number("the new revision", step->new_revision, run.revision);
    check_number("the number", step->number, run.number);
    if (step->has_names)
        check_names(step);
    if (step->status)
        check_status(step->status);
    int is_list = step->verb == DO_HISTORY || step->verb == DO_GET_MANY || step->verb == DO_ENTRIES;
    if (!step->has_entries || (step->kind == STEP_DO && is_list))
        return; /* lists are checked where they live */
    for (size_t i = 0; i < step->entry_count && i < run.entry_count; i++)
        check_entry(&step->entries[i], run.entries[i]);
    check_number("the number of entries", (struct want_u64){1, step->entry_count}, run.entry_count);
}

/* ── running */

static void clean_up(void)
{
    for (int i = 0; i < MAX_WATCHES; i++)
        if (run.watches[i].name)
            natskv_watcher_free(run.watches[i].watcher);
    memset(run.watches, 0, sizeof run.watches);
    forget_answer();
    if (run.kv)
        natskv_bucket_delete(run.client, natskv_kv_bucket(run.kv), NULL);
    natskv_kv_free(run.kv);
    run.kv = NULL;
    natskv_keys_list *left;
    if (natskv_bucket_names(run.client, &left, NULL) == NATSKV_OK) {
        for (size_t i = 0; i < natskv_keys_list_count(left); i++)
            natskv_bucket_delete(run.client, natskv_keys_list_at(left, i), NULL);
        natskv_keys_list_free(left);
    }
    natskv_client_free(run.client);
    run.client = NULL;
}

/* nats-server 2.15.1 removes the folder above the last deleted stream a moment after it said so; a create that falls into that
 * moment fails with 10049, and has to be asked for again. */
static void create_scenario_bucket(const struct scenario *scenario)
{
    for (int tries = 0;; tries++) {
        natskv_handle_options options;
        const natskv_handle_options *handle = options_of(&scenario->handle, NATSKV_DRIFT_ERROR, &options);
        if (create_bucket(scenario->config, scenario->config_json, handle, &run.kv) == NATSKV_OK)
            return;
        if (run.err.api_code != 10049 || tries == 20)
            FAIL_STEP("the bucket was not created: ", run.err.message);
        nap_ms(10);
    }
}

static void run_scenario(void)
{
    const struct scenario *scenario = run.scenario;
    run.at = 0;
    run.client = client_of(&shared);
    if (scenario->config || scenario->config_json)
        create_scenario_bucket(scenario);
    for (run.at = 0; run.at < scenario->step_count; run.at++) {
        const struct step *step = &scenario->steps[run.at];
        switch (step->kind) {
        case STEP_DO: run.code = do_step(step); break;
        case STEP_WATCH: run.code = watch_step(step); break;
        case STEP_NEXT: run.code = next_step(step); break;
        case STEP_STOP: run.code = stop_step(step); break;
        }
        check_answer(step);
        forget_answer();
    }
    if (consumers_left(&shared) > 0)
        FAIL("consumers left behind");
}

void run_scenarios(void)
{
    char name[96];
    for (run.is_execute = 0; run.is_execute <= 1; run.is_execute++) {
        for (size_t i = 0; i < scenario_count; i++) {
            run.scenario = &scenarios[i];
            if (run.is_execute && !run.scenario->is_executable)
                continue;
            snprintf(name, sizeof name, "%s scenario %s", run.is_execute ? "execute" : "typed", run.scenario->name);
            run_one(name, run_scenario);
            if (run.client)
                clean_up();
        }
    }
}
