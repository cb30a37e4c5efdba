/*
 * natskv 0.1.0: a NATS JetStream Key/Value client. SPDX-License-Identifier: Apache-2.0
 *
 * Conventions. A function that can fail returns a natskv_code; its outputs come last, through pointers, and are untouched when it
 * fails. `err`, which may be NULL, is then filled in. A NULL where something is needed is NATSKV_INVALID_ARGUMENT, never a crash.
 * Strings in are NUL-terminated UTF-8 and copied where they are kept. What has a `_free` is yours to free, in any order; `_free` of
 * NULL is fine. Structs of options begin with their size: call their `_init` first. All times are milliseconds unless the name
 * says otherwise. Threads: every function may be called from any thread unless it says otherwise; a handle must not be freed
 * while another call uses it.
 */
/* Made from the Rust sources by `cargo xtask header`: edit those, not this. */

#ifndef NATSKV_H
#define NATSKV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NATSKV_VERSION "0.1.0"
#define NATSKV_VERSION_MAJOR 0
#define NATSKV_VERSION_MINOR 1
#define NATSKV_VERSION_PATCH 0

/**
 * What a function has to say. 0 is success; the decade of the others tells whose fault it is: below 10 the caller's, 10 to 19
 * the connection's, 20 to 29 the moment's, 30 to 39 the server said no, 90 a bug in natskv, from 100 on no errors at all.
 *
 * The numbers are the same in every language and version of natskv and are never given another meaning.
 */
typedef enum {
  /**
   * Done; outputs are written.
   */
  NATSKV_OK = 0,
  /**
   * An argument breaks a rule that has no code of its own, NULL included; the message names argument and rule.
   */
  NATSKV_INVALID_ARGUMENT = 1,
  /**
   * A key or filter that cannot be written: charset, empty token, reserved prefix.
   */
  NATSKV_INVALID_KEY = 2,
  /**
   * A bucket name outside `[A-Za-z0-9_-]+`.
   */
  NATSKV_INVALID_BUCKET = 3,
  /**
   * The value, or the message it makes, is larger than the server or the bucket takes. Nothing was sent.
   */
  NATSKV_TOO_LARGE = 4,
  /**
   * The server, the bucket or this build lacks the feature asked for.
   */
  NATSKV_UNSUPPORTED = 5,
  /**
   * A blocking call from inside a callback that the same client runs.
   */
  NATSKV_WOULD_DEADLOCK = 6,
  /**
   * More than 64 revisions a key were asked for.
   */
  NATSKV_HISTORY_TOO_LARGE = 7,
  /**
   * No server of the list could be reached, or each refused for a reason that is not the credentials.
   */
  NATSKV_CONNECT_FAILED = 10,
  /**
   * The connection was lost while the operation was in flight; see `maybe_applied`.
   */
  NATSKV_DISCONNECTED = 11,
  /**
   * The client or the watcher was closed.
   */
  NATSKV_CLOSED = 12,
  /**
   * TLS could not be set up, or the two sides disagree about using it.
   */
  NATSKV_TLS = 13,
  /**
   * The server refused the credentials.
   */
  NATSKV_AUTH = 14,
  /**
   * The credentials are good, the subject is not allowed to them.
   */
  NATSKV_PERMISSION = 15,
  /**
   * Bytes that are not NATS, or an answer that cannot be one.
   */
  NATSKV_PROTOCOL = 16,
  /**
   * A queue reached its bound (`pending_limit`, `max_operations`).
   */
  NATSKV_BUFFER_FULL = 17,
  /**
   * The time ran out first.
   */
  NATSKV_TIMEOUT = 20,
  /**
   * `natskv_op_cancel` ended it.
   */
  NATSKV_CANCELLED = 21,
  /**
   * Nobody listens on the subject asked: JetStream is off, or not reachable from this account.
   */
  NATSKV_NO_RESPONDERS = 22,
  /**
   * The server is there but cannot serve now (election, overload); it was retried until the deadline.
   */
  NATSKV_UNAVAILABLE = 23,
  /**
   * No such bucket.
   */
  NATSKV_BUCKET_NOT_FOUND = 30,
  /**
   * The bucket exists with another configuration; the message lists the fields that differ.
   */
  NATSKV_BUCKET_EXISTS = 31,
  /**
   * The stream exists but is not a key/value bucket.
   */
  NATSKV_NOT_A_BUCKET = 32,
  /**
   * The key has no live value: never written, deleted, purged or expired.
   */
  NATSKV_KEY_NOT_FOUND = 33,
  /**
   * The key has a live value already.
   */
  NATSKV_KEY_EXISTS = 34,
  /**
   * The key is at another revision than the one expected.
   */
  NATSKV_WRONG_REVISION = 35,
  /**
   * The bucket reached its `max_bytes`.
   */
  NATSKV_BUCKET_FULL = 36,
  /**
   * Any other refusal of the server; the message carries its words.
   */
  NATSKV_SERVER = 37,
  /**
   * A bug in natskv. After a panic inside the library the client refuses all further calls with this code.
   */
  NATSKV_INTERNAL = 90,
  /**
   * Watchers only, not an error: all initial values were handed out; what follows are updates.
   */
  NATSKV_CAUGHT_UP = 100,
  /**
   * Watchers only, not an error: the bucket was deleted and created again. Forget all keys; a new initial picture follows,
   * then NATSKV_CAUGHT_UP again.
   */
  NATSKV_RESET = 101,
} natskv_code;

/**
 * The connection, as `on_status` and `natskv_state` tell it.
 */
typedef enum {
  /**
   * The first connection is being made.
   */
  NATSKV_STATE_CONNECTING = 0,
  /**
   * Requests go out.
   */
  NATSKV_STATE_CONNECTED = 1,
  /**
   * The connection is lost; the error says why.
   */
  NATSKV_STATE_DISCONNECTED = 2,
  /**
   * A new one is being made.
   */
  NATSKV_STATE_RECONNECTING = 3,
  /**
   * No new operations; what is in flight is finished.
   */
  NATSKV_STATE_DRAINING = 4,
  /**
   * The end. With an error when it was not asked for.
   */
  NATSKV_STATE_CLOSED = 5,
} natskv_connection_state;

/**
 * Something that happened and was dealt with; worth a log line.
 */
typedef enum {
  /**
   * The server sent an error that belongs to no operation.
   */
  NATSKV_NOTICE_SERVER_ERROR = 0,
  /**
   * The server is about to shut down; the client moves to another one.
   */
  NATSKV_NOTICE_LAME_DUCK = 1,
  /**
   * A watch was established anew after a gap; nothing is lost.
   */
  NATSKV_NOTICE_WATCH_RESUMED = 2,
  /**
   * A watch's reader was slower than `watch_limit` allows; what was unread is asked for again.
   */
  NATSKV_NOTICE_WATCH_OVERFLOW = 3,
  /**
   * The bucket under a watch was deleted and created again.
   */
  NATSKV_NOTICE_WATCH_RESET = 4,
} natskv_notice;

/**
 * Why `on_credentials` is called.
 */
typedef enum {
  /**
   * The first connection is being made.
   */
  NATSKV_CREDENTIALS_FIRST = 0,
  /**
   * A later one, and nothing was wrong with the last credentials.
   */
  NATSKV_CREDENTIALS_RECONNECT = 1,
  /**
   * A server refused the last ones.
   */
  NATSKV_CREDENTIALS_REFUSED = 2,
  /**
   * A server accepted the last ones and then no longer: they expired or were revoked.
   */
  NATSKV_CREDENTIALS_EXPIRED = 3,
} natskv_credentials_reason;

/**
 * Which keys a bucket handle takes, and how they are stored.
 */
typedef enum {
  /**
   * What the bucket's metadata says where the server is asked (natskv_config.key_codec), else NATSKV_KEYS_STRICT.
   */
  NATSKV_KEYS_AS_BUCKET = 0,
  /**
   * `[-/_=.A-Za-z0-9]+` without empty tokens, stored as they are: what all clients agree on.
   */
  NATSKV_KEYS_STRICT = 1,
  /**
   * Printable ASCII but `*` and `>`, without empty tokens, stored as it is; such as "user:12345". Other clients may refuse these.
   */
  NATSKV_KEYS_PERMISSIVE = 2,
  /**
   * Any text. Each token (between dots) is stored as base64, URL alphabet, not padded.
   */
  NATSKV_KEYS_BASE64 = 3,
  /**
   * Paths: "/a/b" is stored as "_root_.a.b", "a/b" as "a.b"; a slash at the end goes.
   */
  NATSKV_KEYS_PATH = 4,
  /**
   * Any text. Bytes outside `[A-Za-z0-9_/-]` are stored as "=" and two upper-case hex digits; dots separate tokens.
   */
  NATSKV_KEYS_ESCAPE = 5,
} natskv_key_policy;

/**
 * What a revision did to its key.
 */
typedef enum {
  /**
   * A value was written.
   */
  NATSKV_PUT = 0,
  /**
   * The key was deleted; earlier revisions stay as far as history goes.
   */
  NATSKV_DELETE = 1,
  /**
   * The key was purged with all earlier revisions, or it expired.
   */
  NATSKV_PURGE = 2,
} natskv_operation;

/**
 * Where a bucket is kept.
 */
typedef enum {
  /**
   * Not given: file at create, unchanged at update.
   */
  NATSKV_STORAGE_DEFAULT = 0,
  /**
   * On disk.
   */
  NATSKV_STORAGE_FILE = 1,
  /**
   * In memory: lost when all its servers restart.
   */
  NATSKV_STORAGE_MEMORY = 2,
} natskv_storage;

/**
 * What creating does with a bucket that exists and differs from what is asked for.
 */
typedef enum {
  /**
   * NATSKV_BUCKET_EXISTS, and the message lists the fields that differ.
   */
  NATSKV_DRIFT_ERROR = 0,
  /**
   * It is opened as it is; `natskv_kv_drift_at` tells the fields.
   */
  NATSKV_DRIFT_IGNORE = 1,
  /**
   * It is changed to what is asked for; `natskv_kv_drift_at` tells the fields as they were.
   */
  NATSKV_DRIFT_UPDATE = 2,
} natskv_on_drift;

/**
 * What a bucket is and holds, as the server said when asked. It owns its strings and never changes; any thread may read it.
 * What its functions hand out lives until `natskv_status_free`.
 */
typedef struct natskv_bucket_status natskv_bucket_status;

/**
 * One connection to a NATS server, or to one server after another of a cluster. Any thread may use it, several at once too.
 */
typedef struct natskv_client natskv_client;

/**
 * A list of entries. It owns its entries; any thread may read it.
 */
typedef struct natskv_entries natskv_entries;

/**
 * One revision of a key. It owns its bytes and never changes: it outlives the bucket handle and the client, needs no other
 * object, and any thread may read it. What its functions hand out lives until `natskv_entry_free`.
 */
typedef struct natskv_entry natskv_entry;

/**
 * A list of names: keys, or buckets. It owns its strings; any thread may read it.
 */
typedef struct natskv_keys_list natskv_keys_list;

/**
 * An opened bucket. Any thread may use it, several at once too. It is independent of `natskv_client_free` as far as memory
 * goes; after that its functions return NATSKV_CLOSED.
 */
typedef struct natskv_kv natskv_kv;

/**
 * A list of statuses, sorted by bucket. It owns them; any thread may read it.
 */
typedef struct natskv_status_list natskv_status_list;

/**
 * A running watch. It keeps its client alive as far as memory goes; when the client is closed it gives NATSKV_CLOSED.
 */
typedef struct natskv_watcher natskv_watcher;

/**
 * One failure, complete enough to act on without parsing its message. The caller owns it (usually on the stack) and may pass
 * NULL instead. A function writes it only when it fails; it needs no initialisation and no freeing.
 */
typedef struct {
  /**
   * What the function returned.
   */
  natskv_code code;
  /**
   * The JetStream `err_code` (10071 for a wrong revision); 0 when the error was made locally.
   */
  uint32_t api_code;
  /**
   * The revision that the key really is at, when the server told it; else 0.
   */
  uint64_t revision;
  /**
   * The write may have been stored although it failed here. Never true for reads.
   */
  bool maybe_applied;
  /**
   * What was wrong with which value, and what would be right; the server's own words where it spoke. NUL-terminated UTF-8,
   * cut with "..." where it is longer.
   */
  char message[256];
} natskv_error;

/**
 * Told of each change of the connection; `error` is NULL where there is none and lives until the callback returns.
 */
typedef void (*natskv_on_status)(void *user, natskv_connection_state state, const natskv_error *error);

/**
 * Told of what is worth a log line; `text` lives until the callback returns.
 */
typedef void (*natskv_on_notice)(void *user, natskv_notice kind, const char *text);

/**
 * What opens the door, for `on_credentials` to fill in: one of a user with a password, a token, an nkey, a JWT, or the text of a
 * credentials file; nothing at all is fine too. The fields mean what those of natskv_options do.
 */
typedef struct {
  /**
   * User name.
   */
  const char *user_name;
  /**
   * Password of `user_name`.
   */
  const char *password;
  /**
   * Token.
   */
  const char *token;
  /**
   * Seed of a user's nkey.
   */
  const char *nkey_seed;
  /**
   * Public nkey, for which `on_sign` signs.
   */
  const char *nkey;
  /**
   * A user's JWT.
   */
  const char *jwt;
  /**
   * The text of a credentials file.
   */
  const char *credentials;
} natskv_credentials;

/**
 * Says who we are, before each connection: sets fields of `answer`, which are all NULL, and returns 0. The strings are copied when it
 * has returned, and have to live until then, in `user` for instance. Any other number fails this attempt to connect, and another
 * one may follow. It must be back within `connect_timeout_ms`, and other callbacks wait meanwhile.
 */
typedef int32_t (*natskv_on_credentials)(void *user, natskv_credentials_reason reason, natskv_credentials *answer);

/**
 * Signs: writes the 64 bytes of ed25519 over the bytes of `nonce`, without its NUL, to `signature`, and returns 0. Any other number
 * fails this attempt to connect. Otherwise as `natskv_on_credentials`.
 */
typedef int32_t (*natskv_on_sign)(void *user, const char *nonce, uint8_t *signature);

/**
 * Told once when natskv will never use `user` again.
 */
typedef void (*natskv_drop)(void *user);

/**
 * How to connect. Call `natskv_options_init` first, then set what differs. Strings and lists are copied by
 * `natskv_connect`. All times are milliseconds. A time or a limit of 0 stands for the default.
 */
typedef struct {
  /**
   * Set by `natskv_options_init`.
   */
  size_t struct_size;
  /**
   * Where to connect: one URL such as "nats://127.0.0.1:4222", or several separated by commas. `user:password@` or `token@`
   * in a URL win over the fields below. tls:// is nats:// with `tls`; ws:// and wss:// are WebSocket, for networks that let nothing
   * else out, and do not mix with the others. NULL: `servers`; if that is empty too, "nats://127.0.0.1:4222".
   */
  const char *url;
  /**
   * More URLs, `server_count` of them.
   */
  const char *const *servers;
  /**
   * How many `servers`.
   */
  size_t server_count;
  /**
   * The client's name in the server's monitoring. NULL: none.
   */
  const char *name;
  /**
   * User name. NULL: none.
   */
  const char *user_name;
  /**
   * Password of `user_name`. NULL: none.
   */
  const char *password;
  /**
   * Token, instead of user name and password. NULL: none.
   */
  const char *token;
  /**
   * Seed of a user's nkey, "SU…": logs in by itself, or signs for `jwt`. NULL: none.
   */
  const char *nkey_seed;
  /**
   * Public nkey, "U…", of a user whose seed stays elsewhere: `on_sign` signs. NULL: none.
   */
  const char *nkey;
  /**
   * A user's JWT, for which `nkey_seed` or `on_sign` signs; with neither it is sent alone, which is enough for a bearer JWT.
   * NULL: none.
   */
  const char *jwt;
  /**
   * The text of a credentials file: a JWT, a seed, or both. NULL: none.
   */
  const char *credentials;
  /**
   * A credentials file. It is read by `natskv_connect`, which answers NATSKV_INVALID_ARGUMENT where it is unusable, and anew for
   * each connection, so a renewed one is taken up. NULL: none.
   */
  const char *credentials_file;
  /**
   * TLS must be used: where the server does not offer it, connecting fails with NATSKV_TLS. Where the server requires it, it is
   * used anyhow. Naming an authority, a certificate or a host name below sets it too. Default: false.
   */
  bool tls;
  /**
   * TLS before the server's first line, for servers with `handshake_first`. Default: false.
   */
  bool tls_first;
  /**
   * The name or address that the server's certificate must carry. NULL: the host of the URL; for an address learnt from a
   * server, the host of the URL that led there.
   */
  const char *tls_hostname;
  /**
   * Authorities to trust instead of the system's, one of which must have signed the server's certificate: a file of PEM
   * certificates. The files of these options are read by `natskv_connect`, which answers NATSKV_INVALID_ARGUMENT where one is
   * unusable, and anew for each connection, so renewed ones are taken up. NULL: `tls_ca_pem`; if that is NULL too, the
   * authorities of the system, or those that the environment's SSL_CERT_FILE and SSL_CERT_DIR name.
   */
  const char *tls_ca_file;
  /**
   * The PEM text itself in place of `tls_ca_file`.
   */
  const char *tls_ca_pem;
  /**
   * Our own certificate, for servers that ask for one (`verify`): a PEM file, with the certificates between it and its authority
   * behind it. NULL: `tls_cert_pem`, or none.
   */
  const char *tls_cert_file;
  /**
   * The PEM text itself in place of `tls_cert_file`.
   */
  const char *tls_cert_pem;
  /**
   * The private key of our certificate, not encrypted: a PEM file (PKCS#8, PKCS#1 or SEC1). NULL: `tls_key_pem`; if that is NULL
   * too, the key stands beside the certificate.
   */
  const char *tls_key_file;
  /**
   * The PEM text itself in place of `tls_key_file`.
   */
  const char *tls_key_pem;
  /**
   * Any certificate is accepted, an expired or forged one too: whoever is on the way can then read and change everything,
   * passwords included. For tests only. Default: false.
   */
  bool tls_danger_accept_any_certificate;
  /**
   * How long one server may take from dialling to being ready. Default: 5000.
   */
  int64_t connect_timeout_ms;
  /**
   * How long an operation may take where neither the call nor the bucket handle says. Default: 5000.
   */
  int64_t request_timeout_ms;
  /**
   * How often the server is asked whether it lives. Default: 60000.
   */
  int64_t ping_interval_ms;
  /**
   * Unanswered pings after which the connection counts as lost. Default: 2.
   */
  uint32_t max_pings_out;
  /**
   * A lost connection is made anew. Default: true.
   */
  bool reconnect;
  /**
   * Failed attempts in a row, over all servers, after which the client closes. Default: -1, for ever.
   */
  int64_t max_reconnects;
  /**
   * A failing first connect is retried like a later one, instead of failing `natskv_connect`. Default: false.
   */
  bool retry_first_connect;
  /**
   * The wait after the second failed attempt; it doubles, with some jitter, up to `max_reconnect_wait_ms`. Default: 100.
   */
  int64_t reconnect_wait_ms;
  /**
   * Upper end of the wait between attempts. Default: 5000.
   */
  int64_t max_reconnect_wait_ms;
  /**
   * The servers are tried in random order. Default: true.
   */
  bool randomize_servers;
  /**
   * First tokens of the reply inbox, for accounts whose permissions name one. NULL: "_INBOX".
   */
  const char *inbox_prefix;
  /**
   * JetStream domain. NULL: none.
   */
  const char *domain;
  /**
   * JetStream API prefix in full, for imported accounts; excludes `domain`. NULL: "$JS.API".
   */
  const char *api_prefix;
  /**
   * Writes carry a message id (about 35 bytes more), so that one cut off by a lost connection is sent again and its outcome found
   * out, instead of failing with NATSKV_DISCONNECTED and `maybe_applied`. Writes go without one to buckets that forget ids sooner than
   * the call may take (their TTL, at most 2 minutes); one opened without asking is asked before a write is sent again. Default: false.
   */
  bool retry_writes;
  /**
   * Bytes of requests kept while disconnected; beyond it a call fails with NATSKV_BUFFER_FULL. Default: 8 MiB.
   */
  size_t pending_limit;
  /**
   * Bytes that wait while connected, because the network takes them more slowly than they come; beyond it a call fails with
   * NATSKV_BUFFER_FULL. Default: 64 MiB.
   */
  size_t unsent_limit;
  /**
   * Unread bytes that one watch keeps before it drops them and asks the server again. Default: 32 MiB.
   */
  size_t watch_limit;
  /**
   * Operations in flight; beyond it a call fails with NATSKV_BUFFER_FULL. Default: 65536.
   */
  size_t max_operations;
  /**
   * How long `natskv_drain` may take before it closes. Default: 30000.
   */
  int64_t drain_timeout_ms;
  /**
   * Idle heartbeat asked of a watch; two missed ones and it is established anew. Default: 5000, at least 100.
   */
  int64_t watch_heartbeat_ms;
  /**
   * Told of each change of the connection, on the library's thread or inside `natskv_process`. NULL: nobody.
   */
  natskv_on_status on_status;
  /**
   * Told of what is worth a log line, likewise. NULL: nobody.
   */
  natskv_on_notice on_notice;
  /**
   * Asked who we are before each connection, instead of the fields above: where `on_status` is told, or by a blocking call that
   * waits on a client with a loop of your own. NULL: nobody.
   */
  natskv_on_credentials on_credentials;
  /**
   * Asked to sign for `nkey` or `jwt`, likewise. NULL: nobody.
   */
  natskv_on_sign on_sign;
  /**
   * Handed to `on_status`, `on_notice`, `on_credentials`, `on_sign` and `drop`.
   */
  void *user;
  /**
   * Called exactly once, when `user` will not be used again: when the client is freed, or before a failing
   * `natskv_connect` returns. NULL: nobody.
   */
  natskv_drop drop;
} natskv_options;

/**
 * How to write, delete or purge. Call `natskv_write_options_init` first. NULL in place of the struct: all defaults.
 */
typedef struct {
  /**
   * Set by `natskv_write_options_init`.
   */
  size_t struct_size;
  /**
   * Only if the key's newest revision is this one, else NATSKV_WRONG_REVISION. Default: 0, whatever it is.
   */
  uint64_t expected_revision;
  /**
   * How long the value lives, or the marker of a purge, in milliseconds, at least 1000, in buckets with `limit_marker_ttl_ms`; values
   * only where the bucket keeps one revision of a key. Not for delete. Default: 0, as long as the bucket keeps it.
   */
  int64_t ttl_ms;
  /**
   * How long it may take, in milliseconds. Default: 0, the bucket handle's timeout.
   */
  int64_t timeout_ms;
} natskv_write_options;

/**
 * Gets the items of a watch in its callback form. `code` is NATSKV_OK with an entry, which lives until the callback returns;
 * NATSKV_CAUGHT_UP or NATSKV_RESET with NULL; or, with NULL, the error that ended the watch (`natskv_last_error` has its
 * text), after which nothing follows but `drop`. It may call natskv's functions; blocking ones on the same client give
 * NATSKV_WOULD_DEADLOCK. Items wait while it runs, and the server sends no more than the watch may hold.
 */
typedef void (*natskv_on_item)(void *user, natskv_code code, const natskv_entry *entry);

/**
 * What a watch delivers. Call `natskv_watch_options_init` first. NULL in place of the struct: all defaults.
 */
typedef struct {
  /**
   * Set by `natskv_watch_options_init`.
   */
  size_t struct_size;
  /**
   * All revisions that history keeps, not only the newest of each key. Default: false.
   */
  bool include_history;
  /**
   * No delete and purge markers. Default: false.
   */
  bool ignore_deletes;
  /**
   * No values, only their length. Default: false.
   */
  bool meta_only;
  /**
   * No initial values. Excludes `include_history`. Default: false.
   */
  bool updates_only;
  /**
   * Everything from this revision on, it included; wins over `include_history` and `updates_only`. Default: 0, no.
   */
  uint64_t resume_from_revision;
  /**
   * How long establishing the watch may take, in milliseconds. Default: 0, the bucket handle's timeout.
   */
  int64_t timeout_ms;
  /**
   * Callback form: gets every item, on the library's thread or inside `natskv_process`, maybe already before the watch
   * function returns. Default: NULL, the items are read with `natskv_watcher_next`.
   */
  natskv_on_item on_item;
  /**
   * Handed to `on_item` and `drop`.
   */
  void *user;
  /**
   * Called exactly once, also when the watch function fails: when `user` will not be used again, which is after the last
   * `on_item`, or at once where that is NULL. Default: NULL, nobody.
   */
  natskv_drop drop;
} natskv_watch_options;

/**
 * What became of one item of `natskv_put_many`.
 */
typedef struct {
  /**
   * NATSKV_OK, or why it failed.
   */
  natskv_code code;
  /**
   * The write may have been stored although it failed here.
   */
  bool maybe_applied;
  /**
   * The new revision; 0 where it failed.
   */
  uint64_t revision;
} natskv_result;

/**
 * The end of one operation of the async form. It lives until the callback returns, and then frees what its pointers hold.
 * To keep an object, copy the pointer and set the field to NULL; from then on it is yours to free.
 */
typedef struct {
  /**
   * NATSKV_OK, or why it failed.
   */
  natskv_code code;
  /**
   * NULL when `code` is NATSKV_OK.
   */
  const natskv_error *error;
  /**
   * put, create, update, touch, delete, purge: the new revision.
   */
  uint64_t revision;
  /**
   * purge_deletes: how many markers were removed. clear: how many keys were purged. count: how many keys there are.
   */
  uint64_t count;
  /**
   * flush: the round trip in nanoseconds.
   */
  uint64_t round_trip_ns;
  /**
   * get, get_revision, get_entry; else NULL.
   */
  natskv_entry *entry;
  /**
   * history, get_many, list_entries; else NULL.
   */
  natskv_entries *entries;
  /**
   * keys, bucket_names; else NULL.
   */
  natskv_keys_list *keys;
  /**
   * bucket_open, bucket_create, bucket_update, bucket_create_or_update; else NULL.
   */
  natskv_kv *kv;
  /**
   * watch; else NULL.
   */
  natskv_watcher *watcher;
  /**
   * status; else NULL.
   */
  natskv_bucket_status *status;
  /**
   * bucket_list; else NULL.
   */
  natskv_status_list *statuses;
  /**
   * execute; else NULL.
   */
  char *json;
  /**
   * put_many: what became of each item, also where `code` is the failure of one; else NULL. These go with the reply: copy them.
   */
  const natskv_result *results;
  /**
   * How many `results`.
   */
  size_t result_count;
} natskv_reply;

/**
 * Called exactly once for each operation of the async form that returned NATSKV_OK, never before that return when called
 * inside `natskv_process`, and on the library's own thread (one call at a time) where the client has one. It may start further
 * operations and free handles; blocking calls on the same client give NATSKV_WOULD_DEADLOCK. C++ exceptions must not leave it.
 */
typedef void (*natskv_callback)(void *user, natskv_reply *reply);

/**
 * Names one operation of the async form, for `natskv_op_cancel`; never 0, never used twice by one client.
 */
typedef uint64_t natskv_op;

/**
 * Counters since the client was made.
 */
typedef struct {
  /**
   * Messages received.
   */
  uint64_t in_msgs;
  /**
   * Bytes received.
   */
  uint64_t in_bytes;
  /**
   * Messages sent.
   */
  uint64_t out_msgs;
  /**
   * Bytes sent.
   */
  uint64_t out_bytes;
  /**
   * Connections made after the first.
   */
  uint64_t reconnects;
} natskv_statistics;

/**
 * What a bucket handle is to be like. Call `natskv_handle_options_init` first. NULL in place of the struct: all defaults.
 */
typedef struct {
  /**
   * Set by `natskv_handle_options_init`.
   */
  size_t struct_size;
  /**
   * Which keys it takes, a `natskv_key_policy`. Default: NATSKV_KEYS_AS_BUCKET.
   */
  int32_t key_policy;
  /**
   * Reads of keys go to the server that leads the bucket, which knows every acknowledged write. Else any copy may answer, and
   * only keys that this client wrote or read before are sure not to go back. Default: false.
   */
  bool leader_reads;
  /**
   * Writes are refused here, with NATSKV_UNSUPPORTED. Default: false.
   */
  bool read_only;
  /**
   * Writes to keys that begin with `_kv` are allowed. Default: false.
   */
  bool reserved_keys;
  /**
   * What creating does with an existing bucket that differs, a `natskv_on_drift`. Default: NATSKV_DRIFT_ERROR.
   */
  int32_t on_drift;
  /**
   * How long opening may take, in milliseconds. Default: 0, the `timeout_ms` of natskv_config, or the client's `request_timeout_ms`.
   */
  int64_t timeout_ms;
} natskv_handle_options;

/**
 * A bucket or stream to mirror or to source from. All zeros but for the name is fine: no `_init` needed.
 */
typedef struct {
  /**
   * Bucket or stream name; "KV_" is put in front where it is missing, unless there are `transforms`.
   */
  const char *name;
  /**
   * Where to start: sequence. 0: at the beginning.
   */
  uint64_t opt_start_seq;
  /**
   * Where to start: RFC 3339 time. NULL: not by time.
   */
  const char *opt_start_time;
  /**
   * Only these subjects. NULL: all.
   */
  const char *filter_subject;
  /**
   * Subject transforms: source, destination, source, destination, …
   */
  const char *const *transforms;
  /**
   * How many pairs are in `transforms`.
   */
  size_t transform_count;
  /**
   * API prefix of another domain or account. NULL: the own one.
   */
  const char *external_api;
  /**
   * Deliver prefix that goes with `external_api`. NULL: none.
   */
  const char *external_deliver;
} natskv_source;

/**
 * A bucket's configuration. Call `natskv_config_init` first, then set `bucket` and what else you want. A field left as `_init`
 * set it is "not given": the default at create, unchanged at update. Everything is copied by the call that takes it.
 */
typedef struct {
  /**
   * Set by `natskv_config_init`.
   */
  size_t struct_size;
  /**
   * Name: `[A-Za-z0-9_-]+`. Required.
   */
  const char *bucket;
  /**
   * Free text. NULL: not given.
   */
  const char *description;
  /**
   * Largest message (headers and value) in bytes; -1: no limit. 0: not given. Default: no limit.
   */
  int32_t max_value_size;
  /**
   * Revisions kept per key, 1 to 64. 0: not given. Default: 1.
   */
  int32_t history;
  /**
   * Age at which every revision expires, in milliseconds, at least 100; 0: never. -1: not given. Default: never.
   */
  int64_t ttl_ms;
  /**
   * Largest size of the whole bucket in bytes; -1: no limit. 0: not given. Default: no limit.
   */
  int64_t max_bytes;
  /**
   * Where it is kept, a `natskv_storage`. Default: file.
   */
  int32_t storage;
  /**
   * Copies in a cluster, 1 to 5. 0: not given. Default: 1.
   */
  int32_t replicas;
  /**
   * Compression on disk: 0 no, 1 yes (S2). -1: not given. Default: no.
   */
  int32_t compression;
  /**
   * Pairs of your own: name, value, name, value, … Not NULL with a count of 0: explicitly none. NULL: not given.
   */
  const char *const *metadata;
  /**
   * How many pairs are in `metadata`.
   */
  size_t metadata_count;
  /**
   * Name of the cluster to keep it in. NULL: any.
   */
  const char *placement_cluster;
  /**
   * Tags that each server must have, `placement_tag_count` of them.
   */
  const char *const *placement_tags;
  /**
   * How many `placement_tags`.
   */
  size_t placement_tag_count;
  /**
   * Publish accepted writes anew: which of the bucket's subjects, such as "$KV.mybucket.>". NULL: no republish.
   */
  const char *republish_src;
  /**
   * … and under which subject, such as "copy.>".
   */
  const char *republish_dest;
  /**
   * Republish headers only, without values. Default: false.
   */
  bool republish_headers_only;
  /**
   * Makes the bucket a read-only copy of another one. NULL: none.
   */
  const natskv_source *mirror;
  /**
   * Buckets or streams whose messages flow into this one, `source_count` of them. NULL: not given.
   */
  const natskv_source *sources;
  /**
   * How many `sources`.
   */
  size_t source_count;
  /**
   * How long the markers of expired keys live, in milliseconds, at least 1000; also what allows a TTL per key (server
   * 2.11+). 0: no such markers. -1: not given. Default: none.
   */
  int64_t limit_marker_ttl_ms;
  /**
   * How keys are stored: NATSKV_KEYS_BASE64, NATSKV_KEYS_PATH or NATSKV_KEYS_ESCAPE, recorded in the metadata as
   * "natskv.key_codec", which every handle that asks the server obeys. 0: not given. Default: as they are.
   */
  int32_t key_codec;
  /**
   * What the handle is to be like. NULL: all defaults.
   */
  const natskv_handle_options *handle;
  /**
   * How long the call that takes this struct may last, in milliseconds. Default: 0, the client's `request_timeout_ms`.
   */
  int64_t timeout_ms;
} natskv_config;

/**
 * A key and its value, for `natskv_put_many`.
 */
typedef struct {
  /**
   * The key.
   */
  const char *key;
  /**
   * First byte of the value; may be NULL where `len` is 0.
   */
  const void *value;
  /**
   * Its length.
   */
  size_t len;
} natskv_item;

/**
 * Told how far a long operation is: `done` keys of `total`, at most about a hundred times, the last time when it is at its end.
 * Blocking calls on the same client give NATSKV_WOULD_DEADLOCK in it.
 */
typedef void (*natskv_on_progress)(void *user, uint64_t done, uint64_t total);

/**
 * Bytes that another object owns; they live as long as it does. Not NUL-terminated. `data` is NULL where there is nothing.
 */
typedef struct {
  /**
   * First byte.
   */
  const char *data;
  /**
   * How many.
   */
  size_t len;
} natskv_slice;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The name of a code as it stands in this header, such as "NATSKV_KEY_NOT_FOUND"; "NATSKV_UNKNOWN" for other numbers.
 *
 * The string lives for ever. Any thread.
 */
const char *natskv_code_name(int32_t code);

/**
 * Copies what went wrong in the newest failed natskv call of this thread; NATSKV_OK's struct when none failed yet.
 *
 * For calls that take no `natskv_error`: the `_async` forms when they return at once with a failure, and `on_item` of a watch,
 * for the code that ends it. Any thread; each has its own.
 */
void natskv_last_error(natskv_error *err);

/**
 * Frees a string that natskv handed out (`natskv_execute`, a reply's `json`). NULL is fine. Any thread.
 */
void natskv_string_free(char *string);

/**
 * Sets all defaults. Call it before setting fields. NULL is fine. Any thread.
 */
void natskv_options_init(natskv_options *options);

/**
 * Sets all defaults. NULL is fine. Any thread.
 */
void natskv_write_options_init(natskv_write_options *options);

/**
 * Sets all defaults. NULL is fine. Any thread.
 */
void natskv_watch_options_init(natskv_watch_options *options);

/**
 * Connects and waits until requests can go out, at most `connect_timeout_ms` for each server of the list. `options` may be
 * NULL: all defaults. `*out` gets the client, to be freed with `natskv_client_free`. The client has one thread of its own,
 * which serves the connection while nobody waits in a call, and runs the callbacks.
 *
 * Errors: NATSKV_CONNECT_FAILED, NATSKV_AUTH, NATSKV_TLS, NATSKV_TIMEOUT, NATSKV_INVALID_ARGUMENT for an option. Any thread.
 */
natskv_code natskv_connect(const natskv_options *options,
                           natskv_client **out,
                           natskv_error *err);

/**
 * A client without any thread, for a program with a loop of its own (poll, epoll, libuv, …). Returns at once; the connection is
 * made, kept and used inside `natskv_process`, and there all callbacks run.
 *
 *     while (running) {
 *         struct pollfd p = { natskv_fd(client), natskv_interest(client), 0 };
 *         poll(&p, 1, (int)natskv_timeout_ms(client));
 *         natskv_process(client, p.revents);
 *     }
 *
 * Ask `natskv_fd`, `natskv_interest` and `natskv_timeout_ms` anew before each wait: the descriptor changes with each connection,
 * and what to wait for with each operation. Start operations with the `_async` forms on the loop's thread, or wake the loop
 * afterwards. Blocking functions work too (outside of callbacks): they drive the connection meanwhile, and callbacks that
 * become due wait for the next `natskv_process`.
 *
 * `natskv_ready_async` tells when requests can go out; operations may be started before that. Errors: NATSKV_INVALID_ARGUMENT for
 * an option. Free the client with `natskv_client_free`. Any thread.
 */
natskv_code natskv_connect_external(const natskv_options *options,
                                    natskv_client **out,
                                    natskv_error *err);

/**
 * The descriptor to wait for with poll, epoll, select or the like; -1 while there is none (then wait for the time only). Never
 * read, write or close it. It is another one after a reconnect, so ask again after each `natskv_process`. A new one never has
 * the number of the one that this function gave before, so loops that register descriptors need only compare; the old one is
 * closed by then, and has left an epoll set by itself. -1 for NULL. Any thread.
 */
int natskv_fd(const natskv_client *client);

/**
 * What to wait for on `natskv_fd`: POLLIN, POLLOUT, both or 0, as in <poll.h>. 0 for NULL. Any thread.
 */
int16_t natskv_interest(const natskv_client *client);

/**
 * How long to wait at most, in milliseconds, within an `int`; -1: for ever, as in poll(2). Calling `natskv_process` earlier or
 * without need is harmless, later delays timeouts and reconnects. -1 for NULL. Any thread.
 */
int64_t natskv_timeout_ms(const natskv_client *client);

/**
 * Reads, writes, watches the time, then runs the callbacks that are due, all on this thread. `revents` is what poll(2) said of
 * `natskv_fd` (0: nothing; a wrong or stale one is harmless). Never blocks, and works off a bounded amount at once.
 *
 * NATSKV_OK: go on. NATSKV_CLOSED: the client is closed and everything is told; only freeing is left. On one thread at a time;
 * inside a callback of the same client NATSKV_WOULD_DEADLOCK. Freeing the client in one of the callbacks is fine; the return
 * value is then NATSKV_CLOSED.
 */
natskv_code natskv_process(const natskv_client *client,
                           int16_t revents);

/**
 * Calls back when requests can go out, or with the error that closed the client first. `timeout_ms` 0: the client's
 * `request_timeout_ms`. See `natskv_get_async` for what all async forms share. Any thread.
 */
natskv_code natskv_ready_async(const natskv_client *client,
                               int64_t timeout_ms,
                               natskv_callback callback,
                               void *user,
                               natskv_op *op);

/**
 * Ends an operation of the async form: its callback gets NATSKV_CANCELLED, or whatever it ended with before. A write may have
 * been stored all the same. An `op` that is over or unknown is ignored. Does not wait. Any thread, and inside callbacks too.
 */
natskv_code natskv_op_cancel(const natskv_client *client,
                             natskv_op op);

/**
 * Waits until everything sent before has reached the server (one PING and its PONG), at most `timeout_ms`; 0: the client's
 * `request_timeout_ms`. NATSKV_TIMEOUT and the errors of the connection. Any thread.
 */
natskv_code natskv_flush(const natskv_client *client,
                         int64_t timeout_ms,
                         natskv_error *err);

/**
 * `natskv_flush` without waiting; the round trip comes in `reply->round_trip_ns`. See `natskv_get_async`. Any thread.
 */
natskv_code natskv_flush_async(const natskv_client *client,
                               int64_t timeout_ms,
                               natskv_callback callback,
                               void *user,
                               natskv_op *op);

/**
 * Measures one round trip to the server, in nanoseconds. Otherwise as `natskv_flush`. Any thread.
 */
natskv_code natskv_rtt_ns(const natskv_client *client, int64_t timeout_ms, uint64_t *out, natskv_error *err);

/**
 * Takes no new operations, finishes those in flight, ends the watches, closes, and waits for all that, at most
 * `drain_timeout_ms`: then NATSKV_TIMEOUT, and what was not finished has failed with that too. Any thread.
 */
natskv_code natskv_drain(const natskv_client *client, natskv_error *err);

/**
 * `natskv_drain` without waiting: calls back when the client is closed. It cannot be cancelled; `op`, which may be NULL, gets 0.
 * Any thread.
 */
natskv_code natskv_drain_async(const natskv_client *client,
                               natskv_callback callback,
                               void *user,
                               natskv_op *op);

/**
 * Says that the network may be another one, or that time was lost (a laptop was opened, an interface came up): a wait between two
 * attempts to connect ends now, and a connection that does not answer within `connect_timeout_ms` counts as lost, instead of after
 * two silent pings. On Linux a client notices by itself that the machine slept. Does not wait. Any thread, and inside callbacks too.
 */
natskv_code natskv_wake(const natskv_client *client);

/**
 * Ends everything now: operations in flight fail with NATSKV_CLOSED, watches end, and the connection is closed. Does not wait: where a
 * watch was just being made, the connection stays up to a second longer, to take it back on the server. Closing twice is fine. Any
 * thread, and inside callbacks too.
 */
natskv_code natskv_close(const natskv_client *client);

/**
 * Closes the client where that was not done, runs the callbacks that are left, and frees it. No other call may be using the
 * client, and blocked calls through its bucket handles and watchers return NATSKV_CLOSED. Handles, watchers and entries are
 * freed apart from it, before or after. Inside a callback it is fine; the rest is done after that callback. NULL is fine.
 * Any thread.
 */
void natskv_client_free(natskv_client *client);

/**
 * The connection's state. NATSKV_STATE_CLOSED for NULL. Any thread.
 */
natskv_connection_state natskv_state(const natskv_client *client);

/**
 * The client's counters. NATSKV_INVALID_ARGUMENT for NULL. Any thread.
 */
natskv_code natskv_stats(const natskv_client *client, natskv_statistics *out);

/**
 * What the connected server said of itself, as JSON; "" before the first connection. Free it with `natskv_string_free`.
 * Any thread.
 */
natskv_code natskv_server_info(const natskv_client *client, char **out_json, natskv_error *err);

/**
 * The version of the library, such as "0.1.0". Lives for ever. Any thread.
 */
const char *natskv_version(void);

/**
 * Sets all defaults. NULL is fine. Any thread.
 */
void natskv_handle_options_init(natskv_handle_options *options);

/**
 * The keys that the handle takes, and how they are stored. NATSKV_KEYS_AS_BUCKET for NULL. Any thread.
 */
natskv_key_policy natskv_kv_key_policy(const natskv_kv *kv);

/**
 * Whether the handle is known to refuse writes: it was opened so, the bucket is sealed, or it mirrors what is no bucket. Why, says
 * `natskv_status_read_only`. False for NULL. Any thread.
 */
bool natskv_kv_read_only(const natskv_kv *kv);

/**
 * How many fields of the bucket differed from what its creation asked for, with NATSKV_DRIFT_IGNORE or NATSKV_DRIFT_UPDATE; else 0.
 * Any thread.
 */
size_t natskv_kv_drift_count(const natskv_kv *kv);

/**
 * What differed, a text for each field; NULL beyond the last one. It lives as long as the handle. Any thread.
 */
const char *natskv_kv_drift_at(const natskv_kv *kv, size_t index);

/**
 * Sets every field to "not given". Call it before setting fields. NULL is fine. Any thread.
 */
void natskv_config_init(natskv_config *config);

/**
 * Creates the bucket, or opens an existing one that equals the whole configuration, defaults included. What happens to one that
 * differs, says `on_drift` of `config->handle`. `*out` gets the handle, to be freed with `natskv_kv_free`.
 *
 * Errors: NATSKV_BUCKET_EXISTS where it differs, and the message lists how; NATSKV_INVALID_BUCKET, NATSKV_HISTORY_TOO_LARGE and
 * NATSKV_INVALID_ARGUMENT before anything is sent; NATSKV_SERVER with the server's words; NATSKV_TIMEOUT and those of the
 * connection. Any thread; inside a callback of the same client NATSKV_WOULD_DEADLOCK (this holds for all blocking functions).
 */
natskv_code natskv_bucket_create(const natskv_client *client,
                                 const natskv_config *config,
                                 natskv_kv **out,
                                 natskv_error *err);

/**
 * `natskv_bucket_create` from the JSON form of a configuration, such as `{"bucket": "b", "history": 5}`; durations in it are
 * integer nanoseconds. An unknown field, a wrong type or a value out of range is NATSKV_INVALID_ARGUMENT and names the field.
 * Any thread.
 */
natskv_code natskv_bucket_create_json(const natskv_client *client,
                                      const char *json,
                                      natskv_kv **out,
                                      natskv_error *err);

/**
 * `natskv_bucket_create_json` for a handle with `options`, which may be NULL. Any thread.
 */
natskv_code natskv_bucket_create_json_with(const natskv_client *client,
                                           const char *json,
                                           const natskv_handle_options *options,
                                           natskv_kv **out,
                                           natskv_error *err);

/**
 * Changes the fields that are given and opens the bucket. NATSKV_BUCKET_NOT_FOUND where there is none. Otherwise as
 * `natskv_bucket_create`. Any thread.
 */
natskv_code natskv_bucket_update(const natskv_client *client,
                                 const natskv_config *config,
                                 natskv_kv **out,
                                 natskv_error *err);

/**
 * Changes the fields that are given, or creates the bucket where there is none; opens it. Otherwise as `natskv_bucket_create`.
 * Any thread.
 */
natskv_code natskv_bucket_create_or_update(const natskv_client *client,
                                           const natskv_config *config,
                                           natskv_kv **out,
                                           natskv_error *err);

/**
 * Opens an existing bucket; asks the server. NATSKV_BUCKET_NOT_FOUND where there is none, NATSKV_NOT_A_BUCKET where the stream
 * of that name is something else, NATSKV_UNSUPPORTED where its metadata names a codec of keys that is not known here,
 * NATSKV_INVALID_BUCKET for the name. Free the handle with `natskv_kv_free`. Any thread.
 */
natskv_code natskv_bucket_open(const natskv_client *client,
                               const char *name,
                               natskv_kv **out,
                               natskv_error *err);

/**
 * `natskv_bucket_open` for a handle with `options`, which may be NULL. Any thread.
 */
natskv_code natskv_bucket_open_with(const natskv_client *client,
                                    const char *name,
                                    const natskv_handle_options *options,
                                    natskv_kv **out,
                                    natskv_error *err);

/**
 * A handle to a bucket without asking the server, which is assumed to have it: costs nothing, works while disconnected and
 * inside callbacks. Where there is no such bucket, operations fail. Open mirrors and buckets whose keys have a codec instead, unless
 * `natskv_bucket_bind_with` names the codec. Free the handle with `natskv_kv_free`. Any thread.
 */
natskv_code natskv_bucket_bind(const natskv_client *client,
                               const char *name,
                               natskv_kv **out,
                               natskv_error *err);

/**
 * `natskv_bucket_bind` for a handle with `options`, which may be NULL. Any thread.
 */
natskv_code natskv_bucket_bind_with(const natskv_client *client,
                                    const char *name,
                                    const natskv_handle_options *options,
                                    natskv_kv **out,
                                    natskv_error *err);

/**
 * Deletes a bucket with all its keys. NATSKV_BUCKET_NOT_FOUND where there is none. Any thread.
 */
natskv_code natskv_bucket_delete(const natskv_client *client, const char *name, natskv_error *err);

/**
 * The names of all buckets, sorted. Free the list with `natskv_keys_list_free`. Any thread.
 */
natskv_code natskv_bucket_names(const natskv_client *client, natskv_keys_list **out, natskv_error *err);

/**
 * The statuses of all buckets, sorted by name. Free the list with `natskv_status_list_free`. Any thread.
 */
natskv_code natskv_bucket_list(const natskv_client *client, natskv_status_list **out, natskv_error *err);

/**
 * `natskv_bucket_create` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
 * Any thread.
 */
natskv_code natskv_bucket_create_async(const natskv_client *client,
                                       const natskv_config *config,
                                       natskv_callback callback,
                                       void *user,
                                       natskv_op *op);

/**
 * `natskv_bucket_create_json` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
 * Any thread.
 */
natskv_code natskv_bucket_create_json_async(const natskv_client *client,
                                            const char *json,
                                            natskv_callback callback,
                                            void *user,
                                            natskv_op *op);

/**
 * `natskv_bucket_create_json_with` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
 * Any thread.
 */
natskv_code natskv_bucket_create_json_with_async(const natskv_client *client,
                                                 const char *json,
                                                 const natskv_handle_options *options,
                                                 natskv_callback callback,
                                                 void *user,
                                                 natskv_op *op);

/**
 * `natskv_bucket_update` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
 * Any thread.
 */
natskv_code natskv_bucket_update_async(const natskv_client *client,
                                       const natskv_config *config,
                                       natskv_callback callback,
                                       void *user,
                                       natskv_op *op);

/**
 * `natskv_bucket_create_or_update` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
 * Any thread.
 */
natskv_code natskv_bucket_create_or_update_async(const natskv_client *client,
                                                 const natskv_config *config,
                                                 natskv_callback callback,
                                                 void *user,
                                                 natskv_op *op);

/**
 * `natskv_bucket_open` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
 * Any thread.
 */
natskv_code natskv_bucket_open_async(const natskv_client *client,
                                     const char *name,
                                     natskv_callback callback,
                                     void *user,
                                     natskv_op *op);

/**
 * `natskv_bucket_open_with` without waiting: the handle comes in `reply->kv`. See `natskv_get_async` for what all async forms share.
 * Any thread.
 */
natskv_code natskv_bucket_open_with_async(const natskv_client *client,
                                          const char *name,
                                          const natskv_handle_options *options,
                                          natskv_callback callback,
                                          void *user,
                                          natskv_op *op);

/**
 * `natskv_bucket_delete` without waiting: the end comes in `reply->code`. See `natskv_get_async` for what all async forms share.
 * Any thread.
 */
natskv_code natskv_bucket_delete_async(const natskv_client *client,
                                       const char *name,
                                       natskv_callback callback,
                                       void *user,
                                       natskv_op *op);

/**
 * `natskv_bucket_names` without waiting: the list comes in `reply->keys`. See `natskv_get_async` for what all async forms share.
 * Any thread.
 */
natskv_code natskv_bucket_names_async(const natskv_client *client,
                                      natskv_callback callback,
                                      void *user,
                                      natskv_op *op);

/**
 * `natskv_bucket_list` without waiting: the list comes in `reply->statuses`. See `natskv_get_async` for what all async forms share.
 * Any thread.
 */
natskv_code natskv_bucket_list_async(const natskv_client *client,
                                     natskv_callback callback,
                                     void *user,
                                     natskv_op *op);

/**
 * The bucket's name; lives as long as the handle. "" for NULL. Any thread.
 */
const char *natskv_kv_bucket(const natskv_kv *kv);

/**
 * How long each further operation through this handle may take, in milliseconds; 0: the client's `request_timeout_ms`.
 * For keys and history it is the longest silence, not the whole time. NATSKV_INVALID_ARGUMENT when negative. Any thread.
 */
natskv_code natskv_kv_set_timeout_ms(const natskv_kv *kv,
                                     int64_t timeout_ms);

/**
 * Frees the handle; the bucket stays. No other call may be using it. NULL is fine. Any thread.
 */
void natskv_kv_free(natskv_kv *kv);

/**
 * The live value of `key`, in an entry to be freed with `natskv_entry_free`.
 *
 * Errors: NATSKV_KEY_NOT_FOUND, also for deleted, purged and expired keys; NATSKV_INVALID_KEY; NATSKV_BUCKET_NOT_FOUND;
 * NATSKV_TIMEOUT and those of the connection. Any thread; inside a callback of the same client NATSKV_WOULD_DEADLOCK (this
 * holds for all blocking functions).
 */
natskv_code natskv_get(const natskv_kv *kv,
                       const char *key,
                       natskv_entry **out,
                       natskv_error *err);

/**
 * The value that `key` had at `revision`, as far as history keeps it. NATSKV_KEY_NOT_FOUND where that revision is gone, is a
 * marker, or belongs to another key; NATSKV_INVALID_ARGUMENT for revision 0. Otherwise as `natskv_get`. Any thread.
 */
natskv_code natskv_get_revision(const natskv_kv *kv,
                                const char *key,
                                uint64_t revision,
                                natskv_entry **out,
                                natskv_error *err);

/**
 * The newest entry of `key`, also when it is a delete or purge marker. NATSKV_KEY_NOT_FOUND where there is nothing at all.
 * Otherwise as `natskv_get`. Any thread.
 */
natskv_code natskv_get_entry(const natskv_kv *kv,
                             const char *key,
                             natskv_entry **out,
                             natskv_error *err);

/**
 * Writes `len` bytes as the value of `key`, whatever is there. `value` may be NULL where `len` is 0. `revision`, which may be
 * NULL, gets the new revision.
 *
 * Errors: NATSKV_INVALID_KEY, also for keys that begin with `_kv`; NATSKV_TOO_LARGE before anything is sent; NATSKV_BUCKET_FULL;
 * NATSKV_DISCONNECTED with `maybe_applied` when the connection broke before the answer; NATSKV_TIMEOUT and those of the
 * connection. Any thread.
 */
natskv_code natskv_put(const natskv_kv *kv,
                       const char *key,
                       const void *value,
                       size_t len,
                       uint64_t *revision,
                       natskv_error *err);

/**
 * `natskv_put` of a NUL-terminated string, without its NUL. Any thread.
 */
natskv_code natskv_put_string(const natskv_kv *kv,
                              const char *key,
                              const char *value,
                              uint64_t *revision,
                              natskv_error *err);

/**
 * `natskv_put` with `options`, which may be NULL: with an `expected_revision` it is `natskv_update`, and `ttl_ms` is how long the value
 * lives, at least 1000, in buckets with `limit_marker_ttl_ms` that keep one revision of a key. NATSKV_UNSUPPORTED for a TTL that the
 * bucket does not allow: where history is kept, the older value would come back. Any thread.
 */
natskv_code natskv_put_with(const natskv_kv *kv,
                            const char *key,
                            const void *value,
                            size_t len,
                            const natskv_write_options *options,
                            uint64_t *revision,
                            natskv_error *err);

/**
 * Writes the same value again, which now lives for `ttl_ms` milliseconds from then on, at least 1000; never over a value that somebody
 * else wrote meanwhile. NATSKV_KEY_NOT_FOUND where there is no live value; NATSKV_UNSUPPORTED where `natskv_put_with` takes no TTL.
 * Otherwise as `natskv_put`. Any thread.
 */
natskv_code natskv_touch(const natskv_kv *kv,
                         const char *key,
                         int64_t ttl_ms,
                         uint64_t *revision,
                         natskv_error *err);

/**
 * Writes only if `key` has no live value: it was never written, or is deleted, purged or expired. `ttl_ms`: how long the value
 * lives, in milliseconds, at least 1000, in buckets with `limit_marker_ttl_ms`; 0: for ever.
 *
 * NATSKV_KEY_EXISTS when it has one; NATSKV_UNSUPPORTED for a TTL that the bucket does not allow. Otherwise as `natskv_put`.
 * Any thread.
 */
natskv_code natskv_create(const natskv_kv *kv,
                          const char *key,
                          const void *value,
                          size_t len,
                          int64_t ttl_ms,
                          uint64_t *revision,
                          natskv_error *err);

/**
 * Writes only if the newest revision of `key` is `expected`, else NATSKV_WRONG_REVISION, whose `natskv_error.revision` is the
 * actual one where the server told it. NATSKV_INVALID_ARGUMENT for 0: that is what `natskv_create` is for. Otherwise as
 * `natskv_put`. Any thread.
 */
natskv_code natskv_update(const natskv_kv *kv,
                          const char *key,
                          const void *value,
                          size_t len,
                          uint64_t expected,
                          uint64_t *revision,
                          natskv_error *err);

/**
 * Puts a delete marker; earlier revisions stay as far as history goes. A key that never existed is fine. `options` may be NULL.
 * `revision`, which may be NULL, gets the marker's revision.
 *
 * NATSKV_WRONG_REVISION where `options->expected_revision` is not the newest; NATSKV_INVALID_ARGUMENT for a TTL, which only
 * purge takes. Otherwise as `natskv_put`. Any thread.
 */
natskv_code natskv_delete(const natskv_kv *kv,
                          const char *key,
                          const natskv_write_options *options,
                          uint64_t *revision,
                          natskv_error *err);

/**
 * Puts a purge marker and removes all earlier revisions. A key that never existed is fine. `options` may be NULL; its `ttl_ms`
 * is how long the marker stays. Otherwise as `natskv_delete`. Any thread.
 */
natskv_code natskv_purge(const natskv_kv *kv,
                         const char *key,
                         const natskv_write_options *options,
                         uint64_t *revision,
                         natskv_error *err);

/**
 * The live keys that match any of `n` filters, each once, sorted; none (`filters` NULL, `n` 0): all keys. An empty list is a success. Free the list with `natskv_keys_list_free`.
 *
 * NATSKV_INVALID_KEY for a filter; NATSKV_TIMEOUT after so much silence; otherwise as `natskv_get`. Any thread.
 */
natskv_code natskv_keys(const natskv_kv *kv,
                        const char *const *filters,
                        size_t n,
                        natskv_keys_list **out,
                        natskv_error *err);

/**
 * All revisions of `key` that the bucket keeps, oldest first, markers included. NATSKV_KEY_NOT_FOUND where there is none.
 * Free the list with `natskv_entries_free`. Otherwise as `natskv_keys`. Any thread.
 */
natskv_code natskv_history(const natskv_kv *kv,
                           const char *key,
                           natskv_entries **out,
                           natskv_error *err);

/**
 * What the bucket is and holds now. Free it with `natskv_status_free`. NATSKV_BUCKET_NOT_FOUND when it is gone. Any thread.
 */
natskv_code natskv_status(const natskv_kv *kv,
                          natskv_bucket_status **out,
                          natskv_error *err);

/**
 * Runs one operation in its JSON form, such as `{"operation": "PUT", "key": "a", "value": "aGk="}`: PUT, GET, CREATE, UPDATE,
 * TOUCH, DELETE, PURGE, HISTORY, LIST, WATCH, ENTRIES, COUNT, GET_MANY, PUT_MANY, CLEAR, PURGE_DELETES. `*out_json` gets the reply. Where the operation failed or is none, that is the error's
 * JSON form, and the function returns NATSKV_OK all the same. Free it with `natskv_string_free`. Durations in it are integer
 * nanoseconds.
 *
 * Errors, without a reply: NATSKV_INVALID_ARGUMENT for NULL and for what is not UTF-8, NATSKV_CLOSED, NATSKV_BUFFER_FULL,
 * NATSKV_WOULD_DEADLOCK. Any thread.
 */
natskv_code natskv_execute(const natskv_kv *kv,
                           const char *json,
                           char **out_json,
                           natskv_error *err);

/**
 * `natskv_get` without waiting: the entry comes in `reply->entry`.
 *
 * As all async forms: NATSKV_OK means that `callback(user, reply)` will be called exactly once. Any other code means that it
 * will not; `natskv_last_error` has the text. `op`, which may be NULL, gets a number for `natskv_op_cancel`. Any thread, and
 * inside callbacks too. On a client with a loop of your own: on the loop's thread, or wake the loop afterwards.
 */
natskv_code natskv_get_async(const natskv_kv *kv,
                             const char *key,
                             natskv_callback callback,
                             void *user,
                             natskv_op *op);

/**
 * `natskv_get_revision` without waiting: the entry comes in `reply->entry`. Any thread.
 */
natskv_code natskv_get_revision_async(const natskv_kv *kv,
                                      const char *key,
                                      uint64_t revision,
                                      natskv_callback callback,
                                      void *user,
                                      natskv_op *op);

/**
 * `natskv_get_entry` without waiting: the entry comes in `reply->entry`. Any thread.
 */
natskv_code natskv_get_entry_async(const natskv_kv *kv,
                                   const char *key,
                                   natskv_callback callback,
                                   void *user,
                                   natskv_op *op);

/**
 * `natskv_put` without waiting: the revision comes in `reply->revision`. The value is copied. Any thread.
 */
natskv_code natskv_put_async(const natskv_kv *kv,
                             const char *key,
                             const void *value,
                             size_t len,
                             natskv_callback callback,
                             void *user,
                             natskv_op *op);

/**
 * `natskv_put_string` without waiting: the revision comes in `reply->revision`. Any thread.
 */
natskv_code natskv_put_string_async(const natskv_kv *kv,
                                    const char *key,
                                    const char *value,
                                    natskv_callback callback,
                                    void *user,
                                    natskv_op *op);

/**
 * `natskv_put_with` without waiting: the revision comes in `reply->revision`. The value is copied. Any thread.
 */
natskv_code natskv_put_with_async(const natskv_kv *kv,
                                  const char *key,
                                  const void *value,
                                  size_t len,
                                  const natskv_write_options *options,
                                  natskv_callback callback,
                                  void *user,
                                  natskv_op *op);

/**
 * `natskv_touch` without waiting: the revision comes in `reply->revision`. Any thread.
 */
natskv_code natskv_touch_async(const natskv_kv *kv,
                               const char *key,
                               int64_t ttl_ms,
                               natskv_callback callback,
                               void *user,
                               natskv_op *op);

/**
 * `natskv_create` without waiting: the revision comes in `reply->revision`. The value is copied. Any thread.
 */
natskv_code natskv_create_async(const natskv_kv *kv,
                                const char *key,
                                const void *value,
                                size_t len,
                                int64_t ttl_ms,
                                natskv_callback callback,
                                void *user,
                                natskv_op *op);

/**
 * `natskv_update` without waiting: the revision comes in `reply->revision`. The value is copied. Any thread.
 */
natskv_code natskv_update_async(const natskv_kv *kv,
                                const char *key,
                                const void *value,
                                size_t len,
                                uint64_t expected,
                                natskv_callback callback,
                                void *user,
                                natskv_op *op);

/**
 * `natskv_delete` without waiting: the marker's revision comes in `reply->revision`. Any thread.
 */
natskv_code natskv_delete_async(const natskv_kv *kv,
                                const char *key,
                                const natskv_write_options *options,
                                natskv_callback callback,
                                void *user,
                                natskv_op *op);

/**
 * `natskv_purge` without waiting: the marker's revision comes in `reply->revision`. Any thread.
 */
natskv_code natskv_purge_async(const natskv_kv *kv,
                               const char *key,
                               const natskv_write_options *options,
                               natskv_callback callback,
                               void *user,
                               natskv_op *op);

/**
 * `natskv_keys` without waiting: the list comes in `reply->keys`. Any thread.
 */
natskv_code natskv_keys_async(const natskv_kv *kv,
                              const char *const *filters,
                              size_t n,
                              natskv_callback callback,
                              void *user,
                              natskv_op *op);

/**
 * `natskv_history` without waiting: the list comes in `reply->entries`. Any thread.
 */
natskv_code natskv_history_async(const natskv_kv *kv,
                                 const char *key,
                                 natskv_callback callback,
                                 void *user,
                                 natskv_op *op);

/**
 * `natskv_status` without waiting: the status comes in `reply->status`. Any thread.
 */
natskv_code natskv_status_async(const natskv_kv *kv, natskv_callback callback, void *user, natskv_op *op);

/**
 * `natskv_execute` without waiting: the reply comes in `reply->json`. Any thread.
 */
natskv_code natskv_execute_async(const natskv_kv *kv,
                                 const char *json,
                                 natskv_callback callback,
                                 void *user,
                                 natskv_op *op);

/**
 * The live values of `n` keys, in the order of the keys, each once; filters may stand among them. Keys without a live value are left
 * out. As few requests as the server allows: `natskv_entries_as_of` tells whether they are all of one moment. Free the list with
 * `natskv_entries_free`. NATSKV_INVALID_KEY for a key or filter; NATSKV_TIMEOUT after so much silence; otherwise as `natskv_get`.
 * Any thread.
 */
natskv_code natskv_get_many(const natskv_kv *kv,
                            const char *const *keys,
                            size_t n,
                            natskv_entries **out,
                            natskv_error *err);

/**
 * `natskv_get_many` without waiting: the list comes in `reply->entries`. Any thread.
 */
natskv_code natskv_get_many_async(const natskv_kv *kv,
                                  const char *const *keys,
                                  size_t n,
                                  natskv_callback callback,
                                  void *user,
                                  natskv_op *op);

/**
 * The newest entry of each live key that matches any of `n` filters (`filters` NULL, `n` 0: all keys), in the order of their
 * revisions. Free the list with `natskv_entries_free`. Otherwise as `natskv_keys`. Any thread.
 */
natskv_code natskv_list_entries(const natskv_kv *kv,
                                const char *const *filters,
                                size_t n,
                                natskv_entries **out,
                                natskv_error *err);

/**
 * `natskv_list_entries` without waiting: the list comes in `reply->entries`. Any thread.
 */
natskv_code natskv_list_entries_async(const natskv_kv *kv,
                                      const char *const *filters,
                                      size_t n,
                                      natskv_callback callback,
                                      void *user,
                                      natskv_op *op);

/**
 * How many live keys match any of `n` filters (`filters` NULL, `n` 0: all keys): as many as `natskv_keys` lists. Otherwise as that.
 * Any thread.
 */
natskv_code natskv_count(const natskv_kv *kv,
                         const char *const *filters,
                         size_t n,
                         uint64_t *out,
                         natskv_error *err);

/**
 * `natskv_count` without waiting: the number comes in `reply->count`. Any thread.
 */
natskv_code natskv_count_async(const natskv_kv *kv,
                               const char *const *filters,
                               size_t n,
                               natskv_callback callback,
                               void *user,
                               natskv_op *op);

/**
 * Puts `n` values, so many in flight that the server is busy. `results`, which may be NULL, gets what became of each, in the order of
 * `items`. Of a key that stands there twice the last value wins.
 *
 * NATSKV_OK: all are stored. Else what the first of those that failed says, and `err` with it; the others may be stored, look at
 * `results`. A bad argument (NATSKV_INVALID_KEY, NATSKV_TOO_LARGE, …) fails the whole call, nothing is sent, and each result says so.
 * The time of the handle is the longest silence: what was not sent by then fails with NATSKV_TIMEOUT. Otherwise as `natskv_put`.
 * Any thread.
 */
natskv_code natskv_put_many(const natskv_kv *kv,
                            const natskv_item *items,
                            size_t n,
                            natskv_result *results,
                            natskv_error *err);

/**
 * `natskv_put_many` without waiting: the results come in `reply->results`, `reply->result_count` of them. The values are copied.
 * Any thread.
 */
natskv_code natskv_put_many_async(const natskv_kv *kv,
                                  const natskv_item *items,
                                  size_t n,
                                  natskv_callback callback,
                                  void *user,
                                  natskv_op *op);

/**
 * Purges the key `prefix` and all keys under it ("a.b": "a.b" and "a.b.>"); with wildcards it is a filter. A key that somebody writes
 * meanwhile is left alone. Markers stay, until `natskv_purge_deletes`. `cleared`, which may be NULL, gets how many keys were purged.
 *
 * `on_progress`, which may be NULL, is called with `user` on this thread while it waits. Errors as for `natskv_keys` and
 * `natskv_purge`. Any thread.
 */
natskv_code natskv_clear(const natskv_kv *kv,
                         const char *prefix,
                         natskv_on_progress on_progress,
                         void *user,
                         uint64_t *cleared,
                         natskv_error *err);

/**
 * `natskv_clear` without waiting: the number comes in `reply->count`. `on_progress`, which may be NULL, is called where `callback` is
 * and before it, with the same `user`. Any thread.
 */
natskv_code natskv_clear_async(const natskv_kv *kv,
                               const char *prefix,
                               natskv_on_progress on_progress,
                               natskv_callback callback,
                               void *user,
                               natskv_op *op);

/**
 * Removes delete and purge markers older than `older_than_ms` milliseconds with all that is under them, never anything newer.
 * 0: all markers; -1: 30 minutes. `purged`, which may be NULL, gets how many markers were removed. `on_progress`, which may be NULL,
 * is called with `user` on this thread while it waits. Any thread.
 */
natskv_code natskv_purge_deletes(const natskv_kv *kv,
                                 int64_t older_than_ms,
                                 natskv_on_progress on_progress,
                                 void *user,
                                 uint64_t *purged,
                                 natskv_error *err);

/**
 * `natskv_purge_deletes` without waiting: the number comes in `reply->count`. `on_progress`, which may be NULL, is called where
 * `callback` is and before it, with the same `user`. Any thread.
 */
natskv_code natskv_purge_deletes_async(const natskv_kv *kv,
                                       int64_t older_than_ms,
                                       natskv_on_progress on_progress,
                                       natskv_callback callback,
                                       void *user,
                                       natskv_op *op);

/**
 * Watches the keys that match any of `n` filters; none (`filters` NULL, `n` 0): all keys. A filter is a key in which `*` stands
 * for one token and a last `>` for all that follow.
 *
 * First come the initial values in revision order, then exactly one NATSKV_CAUGHT_UP, then updates as they happen. Revisions
 * strictly increase, across reconnects and server restarts too. The newest state of every key arrives; a revision that was
 * overwritten before it could be sent arrives as far as the bucket's history still keeps it. Waits until the server has the
 * watch.
 *
 * Errors: NATSKV_INVALID_KEY for a filter, NATSKV_INVALID_ARGUMENT, NATSKV_BUCKET_NOT_FOUND, NATSKV_TIMEOUT and those of the
 * connection. Any thread; inside a callback of the same client NATSKV_WOULD_DEADLOCK. Free the watcher with
 * `natskv_watcher_free`.
 */
natskv_code natskv_watch(const natskv_kv *kv,
                         const char *const *filters,
                         size_t n,
                         const natskv_watch_options *options,
                         natskv_watcher **out,
                         natskv_error *err);

/**
 * `natskv_watch` without waiting: `callback` gets the watcher in `reply->watcher`. With `on_item`, items may come before that.
 * Any thread.
 */
natskv_code natskv_watch_async(const natskv_kv *kv,
                               const char *const *filters,
                               size_t n,
                               const natskv_watch_options *options,
                               natskv_callback callback,
                               void *user,
                               natskv_op *op);

/**
 * The next item of a watch. Waits at most `timeout_ms`; 0: not at all, negative: for ever.
 *
 * NATSKV_OK: an entry in `*out`, to be freed with `natskv_entry_free`; it may be a delete or purge marker.
 * NATSKV_CAUGHT_UP: all initial values were handed out. NATSKV_RESET: the bucket was created anew, forget all keys.
 * NATSKV_TIMEOUT: nothing came. NATSKV_CLOSED: the watch was stopped or the client closed. Any other error ends the watch.
 * `*out` is written only with NATSKV_OK, `*err` only with errors (NATSKV_TIMEOUT and NATSKV_CLOSED included).
 *
 * Any thread, several at once too: each item goes to one of them. Inside a callback of the same client it gives what is there
 * already, or NATSKV_WOULD_DEADLOCK unless `timeout_ms` is 0.
 */
natskv_code natskv_watcher_next(const natskv_watcher *watcher,
                                int64_t timeout_ms,
                                natskv_entry **out,
                                natskv_error *err);

/**
 * Stops the watch, here and on the server, without waiting for it. Who waits in `natskv_watcher_next` gets NATSKV_CLOSED.
 * In callback form at most the item that is being handed out follows, then `drop`. Stopping twice is fine. Any thread.
 */
natskv_code natskv_watcher_stop(const natskv_watcher *watcher);

/**
 * Stops the watch and frees the watcher; no other call may be using it. Inside its own `on_item` it is fine. NULL is fine.
 * Any thread.
 */
void natskv_watcher_free(natskv_watcher *watcher);

/**
 * The bucket's name. "" for NULL. Any thread.
 */
const char *natskv_entry_bucket(const natskv_entry *entry);

/**
 * The key. "" for NULL. Any thread.
 */
const char *natskv_entry_key(const natskv_entry *entry);

/**
 * The key as it stands in the bucket; another than `natskv_entry_key` where the handle has a codec. "" for NULL. Any thread.
 */
const char *natskv_entry_raw_key(const natskv_entry *entry);

/**
 * The value; length 0 for markers, for empty values, where only metadata was asked for, and for NULL. Any thread.
 */
natskv_slice natskv_entry_value(const natskv_entry *entry);

/**
 * Length of the value in bytes; also where only metadata was asked for (`meta_only`) and the value is not there. 0 for NULL.
 * Any thread.
 */
uint64_t natskv_entry_length(const natskv_entry *entry);

/**
 * The revision, unique in the bucket and never 0. 0 for NULL. Any thread.
 */
uint64_t natskv_entry_revision(const natskv_entry *entry);

/**
 * When the server stored it, in nanoseconds since 1970 (UTC). 0 for NULL. Any thread.
 */
int64_t natskv_entry_created_ns(const natskv_entry *entry);

/**
 * How many further entries matched when this one was delivered: 0 for the newest, and for every get. Any thread.
 */
uint64_t natskv_entry_delta(const natskv_entry *entry);

/**
 * What this revision did: a value, a delete marker or a purge marker. NATSKV_PUT for NULL. Any thread.
 */
natskv_operation natskv_entry_operation(const natskv_entry *entry);

/**
 * The operation as the JSON form says it: "PUT", "DEL" or "PURGE"; "UNKNOWN" for other numbers. Lives for ever. Any thread.
 */
const char *natskv_operation_name(int32_t operation);

/**
 * The TTL that this revision was written with, in milliseconds; 0: without one. Any thread.
 */
int64_t natskv_entry_ttl_ms(const natskv_entry *entry);

/**
 * When it expires, by its own TTL or the bucket's, in nanoseconds since 1970 (UTC); 0: never. The bucket's counts where the handle
 * asked the server (it was not bound). Any thread.
 */
int64_t natskv_entry_expires_ns(const natskv_entry *entry);

/**
 * How much time is left until it expires, in milliseconds by this machine's clock; 0: it is over; -1: it does not expire. Any thread.
 */
int64_t natskv_entry_remaining_ms(const natskv_entry *entry);

/**
 * Why the server itself put this marker: "MaxAge", "Purge" or "Remove" (server 2.11+); no data for all other entries.
 * Any thread.
 */
natskv_slice natskv_entry_marker_reason(const natskv_entry *entry);

/**
 * How many headers the entry carries. Any thread.
 */
size_t natskv_entry_header_count(const natskv_entry *entry);

/**
 * Name and value of the header at `index`, in the order they were stored. False, outputs untouched, beyond the last one.
 * `name` and `value` may be NULL. Any thread.
 */
bool natskv_entry_header_at(const natskv_entry *entry,
                            size_t index,
                            natskv_slice *name,
                            natskv_slice *value);

/**
 * The value of the last header with exactly this name; no data where there is none. Any thread.
 */
natskv_slice natskv_entry_header(const natskv_entry *entry, const char *name);

/**
 * Frees an entry that a function or a reply handed over to you; not those of lists and of `on_item`. NULL is fine.
 * Any thread, while no other call uses it.
 */
void natskv_entry_free(natskv_entry *entry);

/**
 * How many entries. 0 for NULL. Any thread.
 */
size_t natskv_entries_count(const natskv_entries *entries);

/**
 * The entry at `index`, which the list owns; NULL beyond the last one. It lives until `natskv_entries_free`. Any thread.
 */
const natskv_entry *natskv_entries_at(const natskv_entries *entries,
                                      size_t index);

/**
 * `natskv_get_many`: the bucket's revision at which these all were the newest of their keys. 0 where several requests saw several
 * moments, for lists of other functions, and for NULL. Any thread.
 */
uint64_t natskv_entries_as_of(const natskv_entries *entries);

/**
 * Frees the list and its entries. NULL is fine. Any thread, while no other call uses it.
 */
void natskv_entries_free(natskv_entries *entries);

/**
 * How many names. 0 for NULL. Any thread.
 */
size_t natskv_keys_list_count(const natskv_keys_list *list);

/**
 * The name at `index`, which the list owns; NULL beyond the last one. It lives until `natskv_keys_list_free`. Any thread.
 */
const char *natskv_keys_list_at(const natskv_keys_list *list,
                                size_t index);

/**
 * Frees the list and its strings. NULL is fine. Any thread, while no other call uses it.
 */
void natskv_keys_list_free(natskv_keys_list *list);

/**
 * The bucket's name. "" for NULL. Any thread.
 */
const char *natskv_status_bucket(const natskv_bucket_status *status);

/**
 * The description; "" where there is none. Any thread.
 */
const char *natskv_status_description(const natskv_bucket_status *status);

/**
 * Messages stored: all revisions of all keys, markers included. Any thread.
 */
uint64_t natskv_status_values(const natskv_bucket_status *status);

/**
 * Revisions kept per key. Any thread.
 */
int64_t natskv_status_history(const natskv_bucket_status *status);

/**
 * Age at which revisions expire, in milliseconds; 0: never. Any thread.
 */
int64_t natskv_status_ttl_ms(const natskv_bucket_status *status);

/**
 * How long the markers of expired keys live, in milliseconds; 0: there are no such markers. Any thread.
 */
int64_t natskv_status_limit_marker_ttl_ms(const natskv_bucket_status *status);

/**
 * Bytes stored. Any thread.
 */
uint64_t natskv_status_bytes(const natskv_bucket_status *status);

/**
 * Largest size of the whole bucket in bytes; -1: no limit. Any thread.
 */
int64_t natskv_status_max_bytes(const natskv_bucket_status *status);

/**
 * Largest message in bytes; -1: no limit. Any thread.
 */
int32_t natskv_status_max_value_size(const natskv_bucket_status *status);

/**
 * Copies in a cluster. Any thread.
 */
int32_t natskv_status_replicas(const natskv_bucket_status *status);

/**
 * Where the bucket is kept; NATSKV_STORAGE_DEFAULT for NULL. Any thread.
 */
natskv_storage natskv_status_storage(const natskv_bucket_status *status);

/**
 * Whether the bucket is compressed on disk. Any thread.
 */
bool natskv_status_compressed(const natskv_bucket_status *status);

/**
 * How many pairs of metadata the bucket has, the server's own (`_nats.…`) included. Any thread.
 */
size_t natskv_status_metadata_count(const natskv_bucket_status *status);

/**
 * Name and value of the pair of metadata at `index`, sorted by name. False, outputs untouched, beyond the last one. `name`
 * and `value` may be NULL. Any thread.
 */
bool natskv_status_metadata_at(const natskv_bucket_status *status,
                               size_t index,
                               const char **name,
                               const char **value);

/**
 * The keys that the handle takes, and how they are stored. NATSKV_KEYS_AS_BUCKET for NULL. Any thread.
 */
natskv_key_policy natskv_status_key_policy(const natskv_bucket_status *status);

/**
 * Why the handle cannot write; "" where it can, and for NULL. Any thread.
 */
const char *natskv_status_read_only(const natskv_bucket_status *status);

/**
 * Everything as JSON: `{bucket, values, history, ttl, bytes, backing_store, compressed, limit_marker_ttl, metadata, replicas,
 * storage, key_policy, read_only, config, stream_info}`, durations in integer nanoseconds. "" for NULL. Any thread.
 */
const char *natskv_status_json(const natskv_bucket_status *status);

/**
 * The server's whole answer to STREAM.INFO, as JSON. "" for NULL. Any thread.
 */
const char *natskv_status_stream_info_json(const natskv_bucket_status *status);

/**
 * Frees a status that a function or a reply handed over to you; not those of lists. NULL is fine.
 * Any thread, while no other call uses it.
 */
void natskv_status_free(natskv_bucket_status *status);

/**
 * How many statuses. 0 for NULL. Any thread.
 */
size_t natskv_status_list_count(const natskv_status_list *list);

/**
 * The status at `index`, which the list owns; NULL beyond the last one. It lives until `natskv_status_list_free`. Any thread.
 */
const natskv_bucket_status *natskv_status_list_at(const natskv_status_list *list,
                                                  size_t index);

/**
 * Frees the list and its statuses. NULL is fine. Any thread, while no other call uses it.
 */
void natskv_status_list_free(natskv_status_list *list);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* NATSKV_H */
