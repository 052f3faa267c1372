"""The command line against a stack of its own: what people type, from `dev` to `delete`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import yaml

from client.__main__ import main
from tests.e2e.support import (
    git,
    processes_of,
    quick_environment,
    simple_attempt,
    simple_feature,
    write_cassette,
)

ROOT = Path(__file__).parents[2]
MINIMAL = ROOT / "examples" / "minimal"
CLIENT = [sys.executable, "-P", "-m", "client"]
STATUS_KEYS = {
    *("project_id", "name", "status", "total_features", "passing_features", "progress_percent"),
    *("feature_breakdown", "recent_progress"),
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of a stack that `shiftwork dev` runs for this file; Ctrl-C ends it."""
    state = tmp_path_factory.mktemp("cli") / "state"
    env = quick_environment(state)
    process = subprocess.Popen([*CLIENT, "dev", "--json"], env=env, stdout=subprocess.PIPE, text=True)
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        told = json.loads(process.stdout.readline())
        timer.cancel()
        assert told["state"] == str(state)
        assert told["temporal_ui"].startswith("http://127.")
        yield env
    finally:
        timer.cancel()
        process.send_signal(signal.SIGINT)
        assert process.wait(150) == 0
        process.stdout.close()
        assert not (state / "stack.json").exists()
        assert processes_of(state) == []


@pytest.fixture
def shiftwork(environment, tmp_path, monkeypatch, capsys):
    """Run a command in this process, in a folder of the test's own; its exit status and its output."""
    for name, value in environment.items():
        if name.startswith("SHIFTWORK_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        capsys.readouterr()
        code = main(argv)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        if "--json" in argv and code in {0, 3, 4, 5}:
            return code, json.loads(out)
        return code, out + err

    return run


def start(shiftwork, name, *features, sessions, arguments=(), **head):
    """Start a project that plays these sessions, and wait for its rest: exit status and what it told."""
    Path("spec.md").write_text(f"---\n{yaml.safe_dump({'name': name, **head})}---\nBuild it.\n")
    write_cassette(Path("cassette.yml"), list(features), sessions)
    argv = ("start", "spec.md", "--cassette", "cassette.yml", "--repo", "repo", "--wait", "--json")
    return shiftwork(*argv, *arguments)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ((), "either 'model' (as 'provider:model') or 'chat_model' has to be given."),
        (("--model", "mistralai:m"), "is not installed: run `pip install langchain-mistralai`."),
        (("--model", "nobody:m"), "the provider 'nobody' is not known; known are anthropic"),
    ],
)
def test_what_keeps_an_agent_from_working_is_said_once(shiftwork, model, sentence) -> None:
    """Two sentences that say the same, of which one sounds as if the project had been started."""
    Path("spec.md").write_text("---\nname: not to be\n---\nBuild it.\n")
    code, told = shiftwork("start", "spec.md", "--agent", "langchain", *model)
    assert code == 1
    assert sentence in told
    assert told.startswith("error: Backend 'langchain'")
    assert len(told.splitlines()) == 1
    assert "not to be" not in shiftwork("list")[1]


def test_from_a_specification_to_a_report(environment, shiftwork, tmp_path):
    """If it failed, the two commands that everybody begins with would not end with a finished repository."""
    argv = ["start", str(MINIMAL / "spec.md"), "--cassette", str(MINIMAL / "cassette.yml")]
    started = subprocess.run(
        [*CLIENT, *argv, "--repo", "repo", "--agent", "scripted", "--wait", "--json"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (started.returncode, started.stderr) == (0, "")
    told = json.loads(started.stdout)
    assert STATUS_KEYS | {"repository", "workflow_id", "temporal_ui"} <= set(told)
    assert (told["status"], told["passing_features"], told["progress_percent"]) == ("completed", 3, 100.0)
    assert told["repository"] == str(tmp_path / "repo")
    subjects = git("repo", "log", "--format=%s").splitlines()
    assert subjects[:3] == ["readme", "command line", "count words"]

    project = told["project_id"]
    code, status = shiftwork("status", project[:8], "--json")
    assert (code, status) == (0, {key: told[key] for key in status})
    code, features = shiftwork("features", "tally", "--json")
    assert [each["status"] for each in features] == ["passing"] * 3
    code, report = shiftwork("report", "--json")
    assert [each["landed_commit"] is not None for each in report["sessions"]] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert {step["evidence"]["verdict"] for each in report["features"] for step in each["verification"]} == {
        "passed"
    }
    assert shiftwork("report", "--output", "report.md") == (0, "")
    assert Path("report.md").read_text().startswith("# tally\n")
    assert shiftwork("watch", project)[0] == 0
    assert shiftwork("logs", project, "--follow")[1].rstrip().endswith("completed")
    assert "Splitting at everything" in shiftwork("logs", "--session", "1", "--transcript")[1]
    assert "tally" in shiftwork("list", "--status", "completed")[1]

    code, [decision] = shiftwork("decisions", "--json")
    assert (decision["session"], decision["judged_by"], decision["score"]) == (2, "harness", 0.5)
    assert (
        shiftwork("feedback", str(decision["id"]), "success", "--score", "1", "--lesson", "read aloud")[0]
        == 0
    )
    told = shiftwork("decisions")[1]
    assert "lesson: read aloud" in told
    assert "outcome: success (+1), says a person" in told
    code, text = shiftwork("start", str(MINIMAL / "spec.md"), "--cassette", str(MINIMAL / "cassette.yml"))
    assert (code, text) == (
        1,
        "error: a project named 'tally' exists already; choose another name.\n",
    )


def test_a_project_is_paused_resumed_steered_and_abandoned(shiftwork):
    """If it failed, people could not direct a project, or scripts would not see how it rests."""
    names = ("one", "two", "three")
    code, told = start(
        shiftwork, "directed", *(simple_feature(name) for name in names),
        sessions={name: [simple_attempt(name)] for name in names}, max_sessions=1,
    )  # fmt: skip
    assert (code, told["status"], told["passing_features"]) == (3, "paused", 1)
    assert shiftwork("watch", "directed")[0] == 3
    code, text = shiftwork("steer", "Keep it short", "--feature", "two")
    assert (code, text) == (0, "The sessions to come of 'two' in directed will read: Keep it short\n")
    assert shiftwork("budget", "directed", "5", "--json")[1]["budget_usd"] == 5
    assert shiftwork("pause", "directed", "--reason", "lunch", "--wait", "--json")[1]["reason"] == "lunch"
    assert shiftwork("pause", "directed") == (0, "directed is paused already: lunch\n")
    assert shiftwork("pause", "directed", "--now") == (0, "directed is paused.\n")
    assert shiftwork("pause", "directed", "--wait", "--json")[1]["reason"] == "lunch"
    assert "No session starts, since $0.00 of $0.00 is spent" in shiftwork("budget", "directed", "0")[1]
    assert "; raise it with `shiftwork budget`" in shiftwork("resume", "directed")[1]
    assert "budget" in shiftwork("watch", "directed")[1]
    assert shiftwork("pause", "directed", "--reason", "tea", "--wait")[0] == 3
    assert shiftwork("budget", "directed", "5")[0] == 0
    assert "one session at a time" in shiftwork("resume", "directed", "--no-autorun")[1]
    shiftwork("watch", "directed")
    code, told = shiftwork("resume", "--autorun", "--max-sessions", "1", "--wait", "--json")
    assert (code, told["passing_features"], told["budget_usd"]) == (3, 2, 5)
    code, told = shiftwork("abandon", "directed", "we bought one", "--json")
    assert (code, told["acknowledged"]) == (0, True)
    assert shiftwork("watch", "directed")[0] == 4
    assert shiftwork("resume", "directed") == (
        1,
        "error: project 'directed' is abandoned; it can't be resumed.\n",
    )
    assert shiftwork("delete", "directed")[0] == 1
    assert shiftwork("delete", "directed", "--yes")[0] == 0
    assert shiftwork("status", "directed")[0] == 1
    assert git("repo", "log", "--format=%s").splitlines()[0] in names


def test_one_session_at_a_time_with_features_added_edited_and_taken_back(shiftwork):
    """If it failed, people who go step by step could not, or a revert would not be asked about."""
    code, told = start(
        shiftwork, "steps", simple_feature("one"), simple_feature("two", "one"),
        sessions={
            "one": [[{"say": "nothing done"}], simple_attempt("one")],
            "two": [[{"ask": "Which colour?"}], simple_attempt("two")],
            "three": [simple_attempt("three")],
        },
        arguments=("--no-autorun",),
    )  # fmt: skip
    assert code == 3
    code, told = shiftwork("run-session", "steps", "one", "--wait", "--json")
    assert (code, told["outcome"]) == (5, "failed")
    assert "grep" in told["error"]
    code, told = shiftwork("run-session", "steps", "--wait", "--json")
    assert (code, told["outcome"]) == (0, "passed")
    first = told["landed_commit"]
    assert shiftwork("run-session", "steps", "two", "--wait")[0] == 5
    assert "Which colour?" in shiftwork("status")[1]
    assert shiftwork("answer", "steps", "two", "Blue")[0] == 0
    assert shiftwork("run-session", "steps", "two", "--wait")[0] == 0

    argv = (
        "--name",
        "three",
        "--verify",
        "grep -qx done three.txt",
        "--depends-on",
        "two",
        "--priority",
        "3",
    )
    assert shiftwork("add-feature", "steps", *argv)[0] == 0
    Path("edit.yml").write_text("priority: 9\ndescription: The third.\n")
    code, told = shiftwork(
        "edit-feature", "steps", "three", "--file", "edit.yml", "--no-dependencies", "--json"
    )
    assert (code, told["changed"]) == (0, ["depends_on", "description", "priority"])
    assert (
        "It is blocked, since nothing can verify it" in shiftwork("add-feature", "steps", "--name", "four")[1]
    )
    code, told = shiftwork("edit-feature", "steps", "four", "--verify", "test -d .")
    assert code == 0
    assert "warning: feature 'four', step 1 checks nothing: 'test -d .' comes out alike" in told
    feature = shiftwork("features", "steps", "--json")[1][-2]
    assert (feature["priority"], feature["depends_on"]) == (9, [])

    code, text = shiftwork("revert", "steps", "0000000")
    assert code == 1
    assert "no checkpoint '0000000'" in text
    code, told = shiftwork("revert", "steps", first[:10], "--json")
    assert (code, len(told["passing"])) == (0, 1)
    assert not Path("repo", "two.txt").exists()
    assert shiftwork("status", "steps", "--json")[1]["feature_breakdown"]["passing"] == 1
    shiftwork("abandon", "steps", "--reason", "enough")


def test_commits_of_people_are_not_undone_without_consent(shiftwork):
    """If it failed, a revert would silently undo what a person committed."""
    code, _ = start(
        shiftwork, "people", simple_feature("one"), simple_feature("two", "one"),
        sessions={name: [simple_attempt(name)] for name in ("one", "two")}, max_sessions=1,
    )  # fmt: skip
    assert code == 3
    Path("repo", "mine.txt").write_text("mine\n")
    git("repo", "add", "mine.txt")
    git("repo", "-c", "user.name=Eva", "-c", "user.email=eva@example.org", "commit", "-qm", "Mine")
    assert shiftwork("resume", "people", "--wait")[0] == 0
    first = git("repo", "log", "--format=%H", "--reverse", "--grep=one").splitlines()[0]
    code, text = shiftwork("revert", "people", first)
    assert code == 1
    assert "(Mine)" in text
    assert "--yes" in text
    assert Path("repo", "mine.txt").exists()
    assert shiftwork("revert", "people", first, "--yes")[0] == 0
    assert not Path("repo", "mine.txt").exists()
    shiftwork("abandon", "people")


def test_what_is_not_delivered_is_told(shiftwork):
    """If it failed, a project would be completed, and nobody would know where its product is."""
    sessions = {"one": [simple_attempt("one")]}
    git(".", "init", "-q", "-b", "main", "repo")
    Path("repo", "mine.txt").write_text("mine\n")
    git("repo", "add", "mine.txt")
    git("repo", "-c", "user.name=Eva", "-c", "user.email=eva@example.org", "commit", "-qm", "Mine")
    Path("repo", "mine.txt").write_text("changed\n")
    start(shiftwork, "dirty", simple_feature("one"), sessions=sessions, arguments=("--allow-dirty",))
    left = "1 commit not delivered to branch 'main'"
    assert left in shiftwork("status", "dirty")[1]
    assert left in shiftwork("watch", "dirty")[1]
    git("repo", "stash", "-q")
    git("repo", "merge", "-q", "--ff-only", "shiftwork/main")
    assert "not delivered" not in shiftwork("status", "dirty")[1]

    assert "The project has no session 9" in shiftwork("logs", "dirty", "--session", "9")[1]
    code, text = shiftwork("start", "spec.md", "--cassette", "cassette.yml", "--name", "private", "--wait")
    [clone] = [line for line in text.splitlines() if line.startswith("product")]
    assert code == 0
    assert " ".join(clone.split()) in " ".join(shiftwork("status", "private")[1].split())
    subprocess.run([*clone.split()[1:], "clone"], check=True, capture_output=True)
    assert Path("clone", "one.txt").read_text() == "done\n"


def test_ctrl_c_ends_the_waiting_and_not_the_project(environment, shiftwork, tmp_path):
    """If it failed, closing a terminal would look like success, or stop the work."""
    write_cassette(
        tmp_path / "c.yml", [simple_feature("slow")], {"slow": [simple_attempt("slow", {"sleep": 2})]}
    )
    (tmp_path / "s.md").write_text("# slow\n")
    process = subprocess.Popen(
        [*CLIENT, "start", "s.md", "--cassette", "c.yml", "--wait"],
        env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in process.stdout:
        if "session 1 started: slow" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=150)
    assert (process.returncode, err) == (130, "")
    assert shiftwork("watch", "slow")[0] == 0


@pytest.fixture
def short_path():
    """A folder whose path leaves room for a socket, where that of `tmp_path` may not: 107 bytes are all."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


async def test_the_demo_ends_in_order_when_it_is_interrupted(short_path):
    """If it failed, Ctrl-C in the demo would leave servers, agents or files behind."""
    env = {**os.environ, "TMPDIR": str(short_path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", str(ROOT / "examples" / "demo.py"),
        env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(100):
        told = []
        async for line in process.stdout:
            told.append(line)
            if b"session 1 started" in line:
                break
        else:
            pytest.fail(b"".join(told).decode())
        process.send_signal(signal.SIGINT)
        rest = await process.stdout.read()
        assert await process.wait() == 130, rest.decode()
    assert b"Traceback" not in rest
    assert list(short_path.iterdir()) == []
    assert processes_of(short_path) == []
