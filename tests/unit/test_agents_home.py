"""An agent's home, where the harness writes too: what the agent left there is never followed."""

import os
import re
from pathlib import Path

import pytest

from shiftwork.agents.claude import ClaudeBackend
from shiftwork.agents.codex import CodexBackend
from shiftwork.agents.codex_rollout import Rollout, find_rollout
from shiftwork.agents.gemini import GeminiBackend
from shiftwork.agents.home import PrivateHome, is_conversation
from shiftwork.agents.opencode import OpencodeBackend
from shiftwork.agents.protocol import AgentRequest, Conversation
from shiftwork.errors import InvalidInput

THREAD = "01a1fe80-0bf9-7a03-9055-000000000000"
FILES = [
    (OpencodeBackend(), ".config/opencode/plugin/shiftwork.js"),
    (OpencodeBackend(), ".config/opencode/package-lock.json"),
    (GeminiBackend(), ".gemini/settings.json"),
]
FOLDERS = [
    (OpencodeBackend(), ".config"),
    (OpencodeBackend(), ".config/opencode/plugin"),
    (GeminiBackend(), ".gemini"),
    (CodexBackend({}), ".codex"),
]


def request(home: Path, conversation: str | None = None) -> AgentRequest:
    home.mkdir(exist_ok=True)
    (workspace := home.parent / "workspace").mkdir(exist_ok=True)
    talk = Conversation(conversation, resumed=True) if conversation is not None else None
    return AgentRequest(workspace, "p", home=home, conversation=talk)


@pytest.fixture
def claude(tmp_path):
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return ClaudeBackend({"PATH": str(program.parent), "ANTHROPIC_API_KEY": "k"})


@pytest.mark.parametrize(("backend", "path"), FILES, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("trap", ["link", "fifo"])
def test_a_trap_in_the_place_of_a_file_is_replaced(tmp_path, backend, path, trap):
    """Otherwise an agent could have a file of the host overwritten, or the whole worker wait for ever."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    place = tmp_path / "home" / path
    place.parent.mkdir(parents=True)
    place.symlink_to(victim) if trap == "link" else os.mkfifo(place)
    backend.command(request(tmp_path / "home"))
    assert victim.read_text() == "precious"
    assert place.is_file()
    assert not place.is_symlink()
    assert not list(place.parent.glob(f".{place.name}.*"))


@pytest.mark.parametrize(("backend", "path"), FILES, ids=lambda value: getattr(value, "name", value))
def test_a_folder_in_the_place_of_a_file_is_one_sentence(tmp_path, backend, path):
    """Otherwise the attempt would fail, and be tried again, for ever."""
    (tmp_path / "home" / path).mkdir(parents=True)
    with pytest.raises(InvalidInput, match="home"):
        backend.command(request(tmp_path / "home"))


@pytest.mark.parametrize(("backend", "path"), FOLDERS, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("trap", ["link", "file", "fifo"])
def test_a_trap_in_the_place_of_a_folder_is_refused(tmp_path, backend, path, trap):
    """Otherwise what the harness writes would land wherever the agent says."""
    outside = tmp_path / "outside"
    outside.mkdir()
    place = tmp_path / "home" / path
    place.parent.mkdir(parents=True)
    if trap == "link":
        place.symlink_to(outside)
    elif trap == "file":
        place.write_text("x")
    else:
        os.mkfifo(place)
    with pytest.raises(InvalidInput, match="home"):
        backend.command(request(tmp_path / "home"))
    assert list(outside.iterdir()) == []


def test_a_home_that_is_a_link_is_refused(tmp_path):
    """Otherwise the last component alone would be one to follow."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "outside")
    with pytest.raises(InvalidInput):
        PrivateHome(tmp_path / "home").write("a", "x")


def test_no_conversation_is_taken_from_or_to_the_outside(tmp_path, claude):
    """Otherwise an agent could have files of the host moved into its home, or its own out of it."""
    host = tmp_path / "host"
    host.mkdir()
    (host / "history.jsonl").write_text("secret")
    projects = tmp_path / "home" / ".claude" / "projects"
    (projects / "mine").mkdir(parents=True)
    (projects / "evil").symlink_to(host)
    (projects / "mine" / "link.jsonl").symlink_to(host / "history.jsonl")
    for name in ("history", "link"):
        assert "--resume" not in claude.command(request(tmp_path / "home", name)).argv
    assert (host / "history.jsonl").read_text() == "secret"
    (projects / "mine" / "own.jsonl").write_text("{}")
    folder = re.sub(r"[^a-zA-Z0-9]", "-", str((tmp_path / "workspace").resolve()))
    (projects / folder).symlink_to(host)
    with pytest.raises(InvalidInput):
        claude.command(request(tmp_path / "home", "own"))
    assert [path.name for path in host.iterdir()] == ["history.jsonl"]
    (projects / folder).unlink()
    assert claude.command(request(tmp_path / "home", "own")).argv.count("--resume") == 1
    assert (projects / folder / "own.jsonl").is_file()


@pytest.mark.parametrize(
    "identity", ["../../x", "/abs", "**/*", "a" * 5000, "x\0y", "", "[", "--help", "a b", "é"]
)
def test_only_a_plain_id_names_a_conversation(tmp_path, claude, identity):
    """Otherwise what an agent calls its conversation would be a path, a pattern or an option."""
    assert not is_conversation(identity)
    for backend in (claude, OpencodeBackend(), CodexBackend({})):
        argv = backend.command(request(tmp_path / "home", identity)).argv
        assert not {"--resume", "--session", "--session-id", "resume"} & set(argv)
        assert not identity or identity not in argv
    assert is_conversation(THREAD)
    assert is_conversation("ses_e00fda7aeffeE4R8lQEu86fbKu")


def test_a_rollout_is_read_through_no_link(tmp_path):
    """Otherwise an agent could have the worker search, and read, all of the host."""
    home = tmp_path / ".codex"
    day = tmp_path / "elsewhere" / "2026" / "11" / "21"
    day.mkdir(parents=True)
    (day / f"rollout-x-{THREAD}.jsonl").write_text(
        '{"type":"token_usage_record","payload":{"thread_token_usage":{"input_tokens":7}}}\n'
    )
    home.mkdir()
    (home / "sessions").symlink_to(tmp_path / "elsewhere")
    assert find_rollout(home, THREAD) is None
    (home / "sessions").unlink()
    (home / "sessions").mkdir()
    (home / "sessions" / "2026").symlink_to(tmp_path / "elsewhere" / "2026")
    assert find_rollout(home, THREAD) is None
    (home / "sessions" / "2026").unlink()
    (tmp_path / "elsewhere" / "2026").rename(home / "sessions" / "2026")
    rollout = Rollout(home, THREAD)
    rollout.refresh()
    assert rollout.spent.input_tokens == 7
