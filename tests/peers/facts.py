"""Keys and what they are stored as by the codecs."""

from __future__ import annotations

BASE64 = {
    "users.alice": "dXNlcnM.YWxpY2U",
    "~~~": "fn5-",
    "???": "Pz8_",
    "a/b": "YS9i",
    "a": "YQ",
    "ab": "YWI",
    "😀.key with spaces": "8J-YgA.a2V5IHdpdGggc3BhY2Vz",
    "user:12345": "dXNlcjoxMjM0NQ",
}
"""As orbit.go writes them: RFC 4648's URL alphabet, token by token, without padding."""

PATH = {"/a/b": "_root_.a.b", "a/b": "a.b", "/users/alice/settings": "_root_.users.alice.settings", "a": "a"}
"""Also orbit.go's: what begins with a slash gets a first token that nothing else has."""

ESCAPE = {
    "user:12345": "user=3A12345",
    "a=b.é": "a=3Db.=C3=A9",
    "plain-key.a_b/c": "plain-key.a_b/c",
    "😀": "=F0=9F=98=80",
    "a b.*": "a=20b.=2A",
}

CODECS = {"base64": BASE64, "path": PATH, "escape": ESCAPE}
