"""The package itself: its errors against the common table, a bare interpreter, its types, its documentation."""

from __future__ import annotations

import builtins
import inspect
import json
import os
import pickle
import shutil
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

import natskv
import natskv.aio
import natskv.errors
import natskv.sync
from conftest import ROOT
from natskv import _native

TABLE = json.loads((ROOT / "tests" / "vectors" / "errors.json").read_text())["errors"]
CANCELLED = "CANCELLED"

TREE = {
    "InvalidArgumentError": "ValueError",
    "InvalidKeyError": "InvalidArgumentError",
    "InvalidBucketNameError": "InvalidArgumentError",
    "HistoryTooLargeError": "InvalidArgumentError",
    "ValueTooLargeError": "InvalidArgumentError",
    "UnsupportedError": "KeyValueError",
    "KeyNotFoundError": "KeyError",
    "KeyExistsError": "KeyValueError",
    "WrongRevisionError": "KeyExistsError",
    "BucketNotFoundError": "LookupError",
    "BucketExistsError": "KeyValueError",
    "BadBucketError": "KeyValueError",
    "BucketFullError": "KeyValueError",
    "RequestTimeoutError": "TimeoutError",
    "NoRespondersError": "KeyValueError",
    "NatsConnectionError": "ConnectionError",
    "DisconnectedError": "NatsConnectionError",
    "ClosedError": "NatsConnectionError",
    "TlsError": "NatsConnectionError",
    "AuthenticationError": "NatsConnectionError",
    "PermissionDeniedError": "PermissionError",
    "ProtocolError": "KeyValueError",
    "ServerError": "KeyValueError",
}


def test_every_code_has_its_class() -> None:
    assert _native.error_codes() == [(row["number"], row["name"]) for row in TABLE]
    assert list(natskv.errors.BY_CODE) == [row["name"] for row in TABLE]
    for row in TABLE:
        if row["name"] != CANCELLED:
            assert natskv.errors.BY_CODE[row["name"]].__name__ == row["python"]


def test_the_tree() -> None:
    assert set(TREE) | {"KeyValueError"} == set(natskv.errors.__all__)
    for name, parent in TREE.items():
        base = getattr(natskv, parent, None) or getattr(builtins, parent)
        assert issubclass(getattr(natskv, name), (base, natskv.KeyValueError)), name
        assert base in getattr(natskv, name).__mro__, name


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["name"])
def test_an_error_says_what_it_is(row: dict[str, Any]) -> None:
    error = _native.error(row["name"], "the message")
    assert (str(error), error.code, error.revision, error.maybe_applied) == ("the message", row["name"], None, False)
    reply = json.loads(error.to_json())
    assert reply["type"] == "io.nats.jetstream.api.v1.error_response" and reply["kind"] == row["name"]
    assert reply["error"]["description"] == "the message"
    assert str(pickle.loads(pickle.dumps(error))) == "the message"


def test_configurations() -> None:
    text = """{"bucket": "b", "ttl": 1500000000, "max_bucket_size": 10, "num_replicas": 3, "compression": "s2",
        "placement": {"cluster": "c", "tags": ["ssd"]}, "storage": "file",
        "sources": [{"name": "s", "subject_transforms": [{"src": "a", "dest": "b"}],
            "external": {"api": "$JS.x.API"}}]}"""
    config = natskv.KeyValueConfig.from_json(text)
    assert (config.ttl, config.max_bytes, config.replicas, config.compression) == (1.5, 10, 3, True)
    assert config.history is None and config.placement == natskv.Placement("c", ["ssd"])
    assert config.sources is not None and config.sources[0].external == natskv.ExternalStream("$JS.x.API")
    assert natskv.KeyValueConfig.from_json(config.to_json()) == config
    assert natskv.KeyValueConfig.from_json(json.loads(text)) == config
    for wrong, says in [
        ('{"bucket": "b", "histroy": 1}', "histroy"),
        ("[]", "object"),
        ("{", "JSON"),
        ("{}", "bucket"),
    ]:
        with pytest.raises(natskv.InvalidArgumentError, match=says):
            natskv.KeyValueConfig.from_json(wrong)


def test_in_a_bare_interpreter(tmp_path: Path) -> None:
    package = Path(natskv.__file__).parent
    shutil.copytree(package, tmp_path / "site" / "natskv", ignore=shutil.ignore_patterns("__pycache__"))
    others = "[name for name in sys.modules if 'nats' in name and 'natskv' not in name]"
    program = f"import sys, natskv, natskv.sync; print(natskv.version(), {others})"
    command = [sys.executable, "-S", "-X", "dev", "-W", "error", "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{natskv.version()} []\n")


@pytest.mark.parametrize(
    "command",
    [
        ["mypy", "--strict", "-p", "natskv"],
        ["mypy", "--strict", str(Path(__file__).with_name("usage.py"))],
        ["mypy.stubtest", "natskv"],
    ],
    ids=["package", "usage", "stubs"],
)
def test_types(command: list[str], tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def public(owner: Any) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in inspect.getmembers(owner) if not name.startswith("_")]


def test_everything_public_is_documented() -> None:
    classes = [natskv.sync.Client, natskv.sync.KeyValue, natskv.sync.KeyWatcher, natskv.sync.Listing]
    classes += [value for name in natskv.__all__ if inspect.isclass(value := getattr(natskv, name))]
    undocumented = [cls.__name__ for cls in classes if not cls.__doc__]
    for cls in classes:
        if cls.__module__.startswith("natskv") and not issubclass(cls, (BaseException, tuple, dict, str)):
            members = [m for m in public(cls) if callable(m[1]) or isinstance(m[1], property)]
            undocumented += [f"{cls.__name__}.{name}" for name, value in members if not inspect.getdoc(value)]
    assert undocumented == []


def test_both_apis_have_the_same_names() -> None:
    assert set(natskv.__all__) == set(natskv.sync.__all__)
    own = {"Client", "KeyHistory", "KeyLister", "KeyValue", "KeyWatcher", "connect", "version"}
    for name in set(natskv.__all__) - own:
        assert getattr(natskv, name) is getattr(natskv.sync, name), name
    for name in ("Client", "KeyValue", "KeyWatcher", "KeyLister", "KeyHistory"):
        ours, theirs = getattr(natskv.aio, name), getattr(natskv.sync, name)
        missing = {member for member, _ in public(ours)} - {member for member, _ in public(theirs)}
        assert missing == set(), name
        for member, value in public(ours):
            if inspect.isfunction(value) and member != "list":
                parameters = list(inspect.signature(value).parameters.values())
                assert parameters == list(inspect.signature(getattr(theirs, member)).parameters.values()), member


def test_annotations_can_be_evaluated() -> None:
    classes = [getattr(api, name) for api in (natskv.aio, natskv.sync) for name in ("Client", "KeyValue", "KeyWatcher")]
    functions = [natskv.connect, natskv.sync.connect, natskv.KeyValueStatus]
    functions += [value for cls in classes for _, value in public(cls) if inspect.isfunction(value)]
    for function in functions:
        assert typing.get_type_hints(function), function


LAZY = """
import sys, natskv.sync
late = {"asyncio", "json", "natskv.config"} & set(sys.modules)
assert not late, f"natskv.sync imports {late}"
assert set(natskv.__all__) <= set(dir(natskv)) & set(dir(natskv.sync))
assert natskv.connect is natskv.aio.connect and natskv.Client is natskv.aio.Client
from natskv import *
assert KeyWatcher is natskv.aio.KeyWatcher and KeyValueConfig is natskv.config.KeyValueConfig
try:
    natskv.nothing
except AttributeError as error:
    assert str(error) == "module 'natskv' has no attribute 'nothing'"
else:
    raise AssertionError("natskv.nothing")
"""


def test_programs_start_without_what_they_may_not_need() -> None:
    ran = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
