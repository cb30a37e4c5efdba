/* As much JSON as proof-server and the like write. */
#ifndef JSON_H
#define JSON_H

/* The text of a field of the object or list at `json`, up to `end`; NULL where it is none. To be freed. */
char *json_text(const char *json, const char *end, const char *name);

#endif
