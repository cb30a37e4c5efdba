/* proof-server for the C tests: nats-servers of every kind, with what opens them and what must not. */
#ifndef PROOF_H
#define PROOF_H

#include "harness.h"

enum { MOST_CREDENTIALS = 12 };

/* A way in, and whether it is one; what is not there is NULL. */
struct way_in {
    char *as, *user, *password, *token, *nkey_seed, *nkey, *jwt, *creds, *creds_text;
    int is_accepted;
};

struct proof {
    pid_t pid;
    FILE *to, *from;
    char *url, *ws_url, *ca, *other_ca;
    struct way_in ways[MOST_CREDENTIALS];
    int way_count;
};

void proof_start(struct proof *proof, const char *kind); /* words of proof-server, such as "jwt tls" */
void proof_tell(struct proof *proof, const char *command);
struct way_in proof_user(struct proof *proof, int seconds); /* kind jwt: a user for so long; to be forgotten */
const struct way_in *proof_way(const struct proof *proof, const char *as);
void way_forget(struct way_in *way);
void proof_end(struct proof *proof);

#endif
