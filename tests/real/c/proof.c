#include "proof.h"

#include "json.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct way_in way_of(const char *json, const char *end)
{
    struct way_in way = {
        .as = json_text(json, end, "as"),
        .user = json_text(json, end, "user"),
        .password = json_text(json, end, "password"),
        .token = json_text(json, end, "token"),
        .nkey_seed = json_text(json, end, "nkey_seed"),
        .nkey = json_text(json, end, "nkey"),
        .jwt = json_text(json, end, "jwt"),
        .creds = json_text(json, end, "creds"),
        .creds_text = json_text(json, end, "creds_text"),
        .is_accepted = strncmp(json, "{\"accepted\":true", 16) == 0,
    };
    return way;
}

void way_forget(struct way_in *way)
{
    free(way->as), free(way->user), free(way->password), free(way->token), free(way->nkey_seed), free(way->nkey);
    free(way->jwt), free(way->creds), free(way->creds_text);
    memset(way, 0, sizeof *way);
}

/* ── the process */

static char *read_line(struct proof *proof)
{
    size_t size = 0;
    char *line = NULL;
    if (getline(&line, &size, proof->from) <= 0)
        FAIL("proof-server has ended");
    if (strncmp(line, "{\"error\"", 8) == 0)
        FAIL("proof-server: %s", line);
    return line;
}

void proof_start(struct proof *proof, const char *kind)
{
    char words[64], *arguments[8] = {"proof-server"};
    int to[2], from[2], count = 1;
    if (!getenv("NATSKV_PROOF_SERVER"))
        FAIL("NATSKV_PROOF_SERVER must name the program proof-server");
    memset(proof, 0, sizeof *proof);
    snprintf(words, sizeof words, "%s", kind);
    for (char *word = strtok(words, " "); word && count < 7; word = strtok(NULL, " "))
        arguments[count++] = word;
    CHECK(pipe(to) == 0 && pipe(from) == 0);
    proof->pid = fork();
    if (proof->pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        for (int fd = 3; fd < 256; fd++)
            close(fd); /* the ends that others keep open would keep their proof-servers too */
        execv(getenv("NATSKV_PROOF_SERVER"), arguments);
        _exit(127);
    }
    close(to[0]), close(from[1]);
    if (proof->pid < 0)
        FAIL("no fork: %s", strerror(errno));
    proof->to = fdopen(to[1], "w");
    proof->from = fdopen(from[0], "r");
    char *json = read_line(proof), *end = json + strlen(json);
    proof->url = json_text(json, end, "url");
    proof->ws_url = json_text(json, end, "ws_url");
    proof->ca = json_text(json, end, "ca");
    proof->other_ca = json_text(json, end, "other_ca");
    const char *next = strstr(json, "{\"accepted\":");
    while (next && proof->way_count < MOST_CREDENTIALS) {
        const char *after = strstr(next + 1, "{\"accepted\":");
        proof->ways[proof->way_count++] = way_of(next, after ? after : strstr(next, "],\"grace\""));
        next = after;
    }
    free(json);
}

void proof_tell(struct proof *proof, const char *command)
{
    fprintf(proof->to, "%s\n", command);
    fflush(proof->to);
    free(read_line(proof));
}

struct way_in proof_user(struct proof *proof, int seconds)
{
    fprintf(proof->to, "user %d\n", seconds);
    fflush(proof->to);
    char *line = read_line(proof);
    struct way_in way = way_of(line, line + strlen(line));
    free(line);
    return way;
}

const struct way_in *proof_way(const struct proof *proof, const char *as)
{
    for (int i = 0; i < proof->way_count; i++)
        if (strcmp(proof->ways[i].as, as) == 0)
            return &proof->ways[i];
    FAIL("no way in is called %s", as);
}

void proof_end(struct proof *proof)
{
    fclose(proof->to); /* that ends it, and its servers */
    fclose(proof->from);
    waitpid(proof->pid, NULL, 0);
    free(proof->url), free(proof->ws_url), free(proof->ca), free(proof->other_ca);
    for (int i = 0; i < proof->way_count; i++)
        way_forget(&proof->ways[i]);
}
