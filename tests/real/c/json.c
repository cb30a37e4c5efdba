#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *json_text(const char *json, const char *end, const char *name)
{
    char start[32];
    snprintf(start, sizeof start, "\"%s\":\"", name);
    const char *from = strstr(json, start);
    if (!from || from >= end)
        return NULL;
    char *text = malloc(strlen(from)), *to = text;
    for (from += strlen(start); *from != '"'; from++) {
        if (*from == '\\')
            *to++ = *++from == 'n' ? '\n' : *from;
        else
            *to++ = *from;
    }
    *to = '\0';
    return text;
}
