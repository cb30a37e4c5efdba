/* The scenarios of tests/scenarios as C data: `cargo xtask` makes scenarios_table.c from the JSON files, so that no JSON is
 * parsed here. What is left out is zero, and zero means: not given, not compared. */
#ifndef SCENARIOS_H
#define SCENARIOS_H

#include <natskv.h>

struct bytes {
    const char *data; /* NULL: `len` times 'x' */
    size_t len;
};

/* Two-valued things that may also be left out. */
enum given { NOT_GIVEN, GIVEN_FALSE, GIVEN_TRUE };

struct want_u64 {
    int is_given;
    uint64_t value;
};

struct want_entry {
    const char *key, *raw_key;
    int has_value;
    struct bytes value;
    struct want_u64 length, revision, delta, ttl_ms;
    const char *operation;
};

/* What became of an item of put_many. */
struct want_result {
    const char *key;
    natskv_code code;
    uint64_t revision;
};

struct want_status {
    const char *bucket;
    struct want_u64 values, history, ttl_ms, replicas;
    const char *storage;
    enum given compressed;
    natskv_key_policy key_policy; /* 0: not compared */
    const char *const *metadata;  /* name, value, name, value, … */
    size_t metadata_count;       /* pairs */
};

enum step_kind { STEP_DO, STEP_WATCH, STEP_NEXT, STEP_STOP };

enum verb {
    DO_PUT, DO_GET, DO_ENTRY, DO_CREATE, DO_UPDATE, DO_DELETE, DO_PURGE, DO_HISTORY, DO_LIST, DO_WATCH, DO_PURGE_DELETES, DO_STATUS,
    DO_TOUCH, DO_GET_MANY, DO_PUT_MANY, DO_ENTRIES, DO_COUNT, DO_CLEAR,
    DO_CREATE_BUCKET, DO_UPDATE_BUCKET, DO_CREATE_OR_UPDATE_BUCKET, DO_DELETE_BUCKET, DO_OPEN_BUCKET, DO_BUCKETS
};

enum next { NEXT_ENTRY, NEXT_CAUGHT_UP, NEXT_NOTHING };

struct watch_flags {
    int include_history, ignore_deletes, meta_only, updates_only;
    uint64_t resume_from_revision;
};

/* The fields of natskv_handle_options that differ from the default. */
struct handle {
    int is_given;
    natskv_key_policy key_policy;
    int leader_reads, read_only, reserved_keys;
};

/* Sets the fields that are given. */
typedef void (*set_config)(natskv_config *config);

struct step {
    enum step_kind kind;
    /* what to do */
    enum verb verb;
    const char *bucket; /* NULL: the scenario's */
    struct handle handle;
    natskv_on_drift on_drift;
    const char *watch;
    const char *key; /* or the prefix */
    struct bytes value;
    int has_revision;
    uint64_t revision;
    int64_t ttl_ms, older_than_ms;
    const char *const *filters; /* or keys */
    size_t filter_count;
    const natskv_item *items;
    size_t item_count;
    struct watch_flags flags;
    int include_deleted;
    set_config config;
    const char *config_json; /* instead of `config`, where a struct cannot say it */
    const char *json;        /* the operation as natskv_execute takes it; NULL: it does not */
    size_t json_fill;        /* so many 'x' and "\"}" follow `json` */
    /* what must come of it */
    natskv_code code;
    const char *const *says;
    size_t says_count;
    struct want_u64 error_revision, api_code;
    struct want_u64 new_revision, number /* purged, counted */, as_of;
    int has_entries;
    const struct want_entry *entries;
    size_t entry_count;
    const struct want_result *results;
    size_t result_count;
    natskv_key_policy key_policy; /* of the handle that was opened; 0: not compared */
    enum given read_only;
    int has_drift;
    const char *const *drift;
    size_t drift_count;
    int has_names;
    const char *const *names;
    size_t name_count;
    const struct want_status *status;
    enum next next;
    const char *const *reply; /* of natskv_execute: these texts, in this order */
    size_t reply_count;
    struct want_u64 reply_entries; /* … and so many entries */
};

struct scenario {
    const char *name;
    set_config config; /* NULL with config_json NULL: no bucket */
    const char *config_json;
    struct handle handle;
    const struct step *steps;
    size_t step_count;
    int is_executable; /* natskv_execute takes some of its steps */
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;

/* The error codes of tests/vectors/errors.json. */
struct code_row {
    natskv_code code; /* by the header's name */
    int number;       /* by errors.json */
    const char *name;
};

extern const struct code_row code_rows[];
extern const size_t code_row_count;

#endif
