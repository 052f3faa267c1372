"""`keys` and `temporal` on the command line."""

import json
import os
from base64 import b64encode
from dataclasses import replace

import pytest

from client.__main__ import main
from client.cli.temporal import environment
from shiftwork.codec.sources import StateKeys
from shiftwork.settings import Settings
from shiftwork.stack.file import StackFile, write_stack

STACK = StackFile(
    pid=1,
    started_at="2026-01-01T00:00:00+00:00",
    namespace="mine",
    database_url="postgresql://x",
    temporal_address="127.0.0.1:7000",
    temporal_ui="http://127.0.0.1:7001/open/TOKEN",
    codec_endpoint="http://127.0.0.1:7001/codec",
    codec_auth="Bearer TOKEN",
)


@pytest.fixture
def keys(tmp_path, monkeypatch, capsys):
    """Run `keys` on a state folder of the test's own; its exit status, and what it told."""
    monkeypatch.setenv("SHIFTWORK_STATE", str(tmp_path / "state"))

    def run(*argv):
        capsys.readouterr()
        code = main(["keys", *argv])
        out, err = capsys.readouterr()
        return code, json.loads(out) if code == 0 and "--json" in argv else out + err

    return run


def test_a_rotation_is_seen_and_no_key_is_shown(keys, tmp_path):
    """Nobody could tell which key is in use, or everybody could read it from a terminal's history."""
    _, before = keys("list", "--json")
    code, after = keys("rotate", "--json")
    assert code == 0
    assert [key["use"] for key in after["keys"]] == ["encodes", "decodes"]
    assert after["keys"][1]["id"] == before["keys"][0]["id"]
    shown = keys("list")[1]
    stored = json.loads((tmp_path / "state" / "codec" / "keys.json").read_text())
    assert [line.split()[0] for line in shown.splitlines()[1:]] == [key["id"] for key in after["keys"]]
    assert not any(key["key"] in shown + json.dumps(after) for key in stored["keys"])


def test_keys_that_are_kept_elsewhere_are_rotated_there(keys, monkeypatch):
    """A new key would be made where no worker looks."""
    monkeypatch.setenv("MY_KEYS", f"mine:{b64encode(os.urandom(32)).decode()}")
    monkeypatch.setenv("SHIFTWORK_CODEC_KEYS", "env:MY_KEYS")
    assert keys("list", "--json")[1]["keys"][0]["id"] == "mine"
    code, told = keys("rotate")
    assert (code, told.count("\n")) == (1, 1)
    assert "put a new one before the others" in told


def test_there_may_be_no_keys(keys, monkeypatch):
    """A question would make keys that nobody wants."""
    monkeypatch.setenv("SHIFTWORK_CODEC", "off")
    code, told = keys("list")
    assert (code, told) == (1, "error: Nothing is encoded here, so there are no keys: see SHIFTWORK_CODEC.\n")


def test_temporals_own_configuration_does_not_reach_the_embedded_server():
    """A profile of another cluster would send its key to our server, or our token to its codec server."""
    environ = {"HOME": "/h", "TEMPORAL_API_KEY": "k", "TEMPORAL_CODEC_ENDPOINT": "http://elsewhere"}
    assert environment(STACK, environ) == {
        "HOME": "/h",
        "TEMPORAL_ADDRESS": "127.0.0.1:7000",
        "TEMPORAL_NAMESPACE": "mine",
        "TEMPORAL_CODEC_ENDPOINT": "http://127.0.0.1:7001/codec",
        "TEMPORAL_CODEC_AUTH": "Bearer TOKEN",
        "TEMPORAL_CONFIG_FILE": os.devnull,
    }


def test_without_a_codec_none_is_named():
    """Temporal's command line would ask a server that is not there."""
    plain = replace(STACK, codec_endpoint=None)
    assert not any("CODEC" in name for name in environment(plain, {}))
    assert environment(None, {"TEMPORAL_ADDRESS": "x:1"}) == {"TEMPORAL_ADDRESS": "x:1"}


def test_what_may_be_shown_has_no_token():
    """The token would stand in what people paste into reports of problems."""
    assert STACK.ui_address == "http://127.0.0.1:7001"


def test_temporal_is_not_asked_what_nothing_can_decode(tmp_path, monkeypatch, capsys):
    """Temporal's command line would try for ten seconds, and tell of a deadline."""
    settings = Settings(state=tmp_path)
    StateKeys(tmp_path).ring()
    write_stack(settings, replace(STACK, pid=os.getpid()))
    (tmp_path / "codec" / "keys.json").unlink()
    for name in ("TEMPORAL_ADDRESS", "SHIFTWORK_CODEC_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SHIFTWORK_STATE", str(tmp_path))
    assert main(["temporal", "workflow", "show", "--workflow-id", "x"]) == 1
    told = capsys.readouterr().err
    assert "keys.json are gone" in told
    assert told.count("\n") == 1
