"""Agents, tasks, schedules and handoffs, as people type them, with a real worker."""

import io
import json
import os
import sys
import uuid
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from client.__main__ import main
from tests.e2e.support import quick_environment
from tests.integration.test_cli_widths import shown

COUNTER = """
count = (handoff.state["count"] if handoff else 0) + parameters.get("step", 1)
if instruction == "fail":
    raise KeyError("price")
print(f"run {count}")
save_handoff(state={"count": count}, summary=f"counted to {count}")
"""


@dataclass
class Done:
    """What a command said."""

    stdout: str
    stderr: str


class Typist:
    """Types commands, each in this process, which saves a second of imports."""

    def __init__(self, state):
        self.state = state
        self.agent = f"counter-{uuid.uuid4().hex[:6]}"

    def run(self, *argv, status=0, stdin=""):
        out, err = io.StringIO(), io.StringIO()
        before, sys.stdin = sys.stdin, io.StringIO(stdin)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                code = main(list(map(str, argv)))
        finally:
            sys.stdin = before
        assert code == status, (argv, out.getvalue(), err.getvalue())
        return Done(out.getvalue(), err.getvalue())

    def json(self, *argv, **options):
        return json.loads(self.run(*argv, "--json", **options).stdout)

    def refused(self, *argv, **options):
        done = self.run(*argv, status=1, **options)
        assert (done.stdout, done.stderr.count("\n")) == ("", 1)
        return done.stderr


@pytest.fixture
def type_(stack, shared_worker, tmp_path, monkeypatch):
    """Somebody with an agent that counts."""
    environment = quick_environment(stack.state)
    for name in {*os.environ} - {*environment}:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    typist = Typist(stack.state)
    (tmp_path / "counter.py").write_text(COUNTER)
    typist.run("agents", "register", typist.agent, "--code", "counter.py", "--parameter", "step=2")
    return typist


def test_an_agent_without_code_is_told_how_to_get_some(type_):
    """If it failed, a newcomer would learn of it by the failure of the first run."""
    name = f"{type_.agent} bare"
    done = type_.run("agents", "register", name)
    hint = f"It has no code to run yet: `shiftwork agents edit '{name}' --code FILE` gives it some.\n"
    assert done.stdout.endswith(f", version 1.\n{hint}")
    assert type_.run("agents", "edit", name, "--code", "counter.py").stdout.endswith(", version 2.\n")
    told = type_.json("agents", "register", f"{name} too")
    assert (told["version"], told["code"]) == (1, None)


def test_an_agent_from_its_registration_to_its_end(type_):
    """If it failed, people could not make, change or remove agents without writing a program."""
    agent = type_.agent
    assert type_.json("agents", "show", agent)["config"]["parameters"] == {"step": 2}
    assert type_.run("agents", "show", agent, "--code").stdout == COUNTER
    assert type_.run("agents", "run", agent).stdout == "run 2\n"
    options = ("--timeout", 60, "--limit", "memory_mb=400", "--parameter", "step=null", "--disable")
    assert "version 2" in type_.run("agents", "edit", agent, *options).stdout
    config = type_.json("agents", "show", agent)["config"]
    assert (config["timeout"], config["enabled"], config["parameters"]) == (60, False, {})
    assert config["limits"]["memory_mb"] == 400
    type_.run("agents", "edit", agent, "--code", "-", stdin="print('new')\n")
    Path("config.json").write_text('{"retries": 0, "enabled": true}')
    changed = type_.json("agents", "edit", agent, "--config", "@config.json", "--description", "Counts.")
    assert (changed["version"], changed["config"]["retries"], changed["code"]) == (4, 0, "print('new')\n")
    patch = '{"limits": {"processes": 60}, "retries": null, "parameters": {"a": {"b": 1}}}'
    config = type_.json("agents", "edit", agent, "--config", patch)["config"]
    assert (config["limits"]["memory_mb"], config["limits"]["processes"]) == (400, 60)
    assert (config["retries"], config["enabled"], config["parameters"]) == (2, True, {"a": {"b": 1}})
    assert [row["version"] for row in type_.json("agents", "versions", agent)] == [5, 4, 3, 2, 1]
    assert type_.json("agents", "show", agent, "--version", 1)["code"] == COUNTER
    assert agent in type_.run("agents", "list").stdout
    assert "repeat the command with --yes" in type_.refused("agents", "delete", agent)
    assert "Deleted agent" in type_.run("agents", "delete", agent, "--yes").stdout
    assert "There is no agent" in type_.refused("agents", "show", agent)


def test_an_agent_becomes_a_program_and_python_again(type_):
    """If it failed, whoever wants another kind of agent would have to delete it, and lose what it knows."""
    program = ("--kind", "command", "--setting", 'argv=["true"]')
    assert "take the code away" in type_.refused(
        "agents", "edit", type_.agent, *program, "--code", "counter.py"
    )
    changed = type_.json("agents", "edit", type_.agent, *program)
    assert (changed["kind"], changed["code"], changed["version"]) == ("command", None, 2)
    changed = type_.json("agents", "edit", type_.agent, "--kind", "python", "--code", "counter.py")
    assert (changed["kind"], changed["code"], changed["settings"]) == ("python", COUNTER, {})


def test_a_run_that_fails_says_so(type_):
    """If it failed, a script could not tell whether its agent did its work."""
    done = type_.run("agents", "run", type_.agent, "--instruction", "fail", status=5)
    assert "failed: KeyError: 'price'" in done.stderr
    task = type_.json("tasks", "list", "--agent", type_.agent, "--status", "failed")[0]
    waited = type_.run("tasks", "wait", task["id"], status=5)
    assert "KeyError" in waited.stderr
    log = type_.run("tasks", "logs", task["uuid"]).stdout
    assert "auto_started_at: 2" in log
    assert "Traceback (most recent call last):" in log
    kinds = [
        json.loads(line)["kind"]
        for line in type_.run("tasks", "logs", task["id"], "--json").stdout.splitlines()
    ]
    assert kinds[0] == "created"
    assert kinds[-1] == "error"


def test_how_far_a_task_is_can_be_seen(type_):
    """If it failed, people would learn of a run of hours only how it ended."""
    Path("pages.py").write_text("progress({'page': 2, 'of': 3})\nprint('done')\n")
    type_.run("agents", "register", f"{type_.agent}-pages", "--code", "pages.py")
    type_.run("agents", "run", f"{type_.agent}-pages")
    task = type_.json("tasks", "list", "--agent", f"{type_.agent}-pages")[0]["id"]
    assert 'progress  {"of": 3, "page": 2}' in type_.run("tasks", "show", task).stdout
    told = type_.run("tasks", "logs", task).stdout
    assert 'progress: {"of": 3, "page": 2}\n' in told
    assert "pre_started: " in told


def test_who_follows_a_task_hears_each_thing_once(type_):
    """If it failed, whoever waits at a terminal would not be told of the end, and of the start twice."""
    Path("slow.py").write_text("import time\ntime.sleep(2)\nprint('slow')\n")
    type_.run("agents", "register", f"{type_.agent}-slow", "--code", "slow.py")
    task = type_.json("agents", "run", f"{type_.agent}-slow", "--no-wait")["id"]
    told = type_.run("tasks", "logs", task, "--follow", "--json").stdout.splitlines()
    kinds = [json.loads(line)["kind"] for line in told]
    assert sorted(kinds) == sorted(set(kinds))
    assert {"auto_started_at", "completed_at", "worker", "attempts", "stdout"} <= set(kinds)


def test_a_task_from_its_making_to_its_end(type_):
    """If it failed, what was made could not be run, ended or found again."""
    made = type_.json("tasks", "create", "--agent", type_.agent, "--parameter", "step=5", "--user", "ada")
    assert (made["status"], made["user_id"], made["parameters"]) == ("created", "ada", {"step": 5})
    assert type_.run("tasks", "run", made["uuid"]).stdout == "run 5\n"
    assert "is completed already" in type_.refused("tasks", "run", made["id"])
    page = type_.run("tasks", "show", made["id"]).stdout
    assert "completed" in page
    assert made["uuid"] in page
    key = f"key of {type_.agent}"
    first = type_.json("tasks", "create", "slow", "--provider", "noop", "--key", key)
    assert type_.json("tasks", "create", "slow", "--provider", "noop", "--key", key)["id"] == first["id"]
    cancelled = type_.json("tasks", "cancel", first["id"])
    assert (cancelled["status"], cancelled["error_kind"]) == ("failed", "cancelled")
    newest = type_.json("tasks", "list", "--provider", "noop", "--last", 1)
    assert [row["id"] for row in newest] == [first["id"]]
    assert first["id"] not in [row["id"] for row in type_.json("tasks", "list", "--before", first["id"])]


def test_a_part_of_a_list_says_so(type_):
    """If it failed, people would take what a list shows for all that there is."""
    for number in range(3):
        type_.run("tasks", "create", "--agent", type_.agent, "--parameter", f"n={number}")
        type_.run("handoffs", "save", type_.agent, "-", stdin="{}")
    newest = type_.json("tasks", "list", "--agent", type_.agent, "--last", 2)
    page = type_.run("tasks", "list", "--agent", type_.agent, "--last", 2).stdout
    assert page.splitlines()[-1] == f"2 of 3; `--before {newest[-1]['id']}` shows older ones."
    for words in (("--last", 2, "--before", newest[-1]["id"]), ("--last", 3)):
        assert " of 3" not in type_.run("tasks", "list", "--agent", type_.agent, *words).stdout
    page = type_.run("handoffs", "list", type_.agent, "--last", 2).stdout
    assert page.splitlines()[-1] == "2 of 3; `--last N` shows more."
    assert " of 3" not in type_.run("handoffs", "list", type_.agent).stdout


def test_a_schedules_id_names_it(type_):
    """If it failed, the id that the list shows would lead nowhere."""
    made = type_.json("schedules", "set", type_.agent, "0 0 29 2 *")
    assert type_.json("schedules", "show", made["id"]) == made
    assert made["id"] in type_.run("schedules", "list").stdout
    assert type_.json("schedules", "set", made["id"], "0 1 29 2 *")["schedule"] == "0 1 29 2 *"
    assert type_.json("schedules", "pause", made["id"])["paused"]
    assert type_.json("schedules", "unset", made["id"])["schedules"] == []
    assert "There is no schedule of agent" in type_.refused("schedules", "show", made["id"])
    assert "can't be the id of a schedule" in type_.refused("schedules", "show", type_.agent, "--id", "")


def test_a_schedule_from_its_setting_to_its_end(type_):
    """If it failed, people could not have an agent run by itself, or keep it from that."""
    agent = type_.agent
    made = type_.json("schedules", "set", agent, "0 9 * * 1-5")
    assert (made["schedule"], made["paused"], made["name"]) == ("0 9 * * 1-5", False, agent)
    assert "agent" in type_.run("schedules", "show", agent).stdout
    assert len(type_.json("schedules", "next", agent)) == 10
    assert len(type_.json("schedules", "next", agent, "--count", "300")) == 300
    assert len(type_.run("schedules", "next", agent, "--count", "3").stdout.splitlines()) == 3
    for odd in ("0", "-1", "x", "1001"):
        with pytest.raises(SystemExit):
            type_.run("schedules", "next", agent, "--count", odd)
    assert type_.json("schedules", "pause", agent, "--reason", "holidays")["note"] == "holidays"
    assert type_.json("schedules", "next", agent) == []
    assert type_.run("schedules", "next", agent).stdout == "It is paused.\n"
    assert not type_.json("schedules", "unpause", agent)["paused"]
    named = f"quick-{agent}"
    type_.run("schedules", "set", agent, "@every 1h", "--id", named, "--timezone", "Europe/Berlin")
    assert type_.json("schedules", "show", agent)["timezone"] == "Europe/Berlin"
    mine = [row for row in type_.json("schedules", "list") if row["name"] == agent]
    assert {row["schedule"] for row in mine} == {"0 9 * * 1-5", "@every 1h"}
    assert type_.json("schedules", "unset", agent, "--id", named)["schedules"] == [made["id"]]
    day = ("--from", "2026-01-05T00:00Z", "--to", "2026-01-06T23:00Z")
    assert type_.json("schedules", "backfill", agent, *day)["acknowledged"]
    early = ("--from", "0001-01-01T00:00Z", "--to", "2026-01-06T23:00Z")
    assert "begins before 1970" in type_.refused("schedules", "backfill", agent, *early)
    assert "runs by no schedule" in type_.run("schedules", "unset", agent).stdout
    assert "`shiftwork schedules set` sets one" in type_.refused("schedules", "show", agent)


def test_handoffs_are_seen_and_set(type_):
    """If it failed, nobody could see or mend what an agent's next run goes on from."""
    agent = type_.agent
    assert "no handoff that has not expired" in type_.refused("handoffs", "latest", agent)
    type_.run("agents", "run", agent)
    left = type_.json("handoffs", "latest", agent)
    assert (left["context"]["state"], left["summary"]) == ({"count": 2}, "counted to 2")
    by_hand = '{"observations": {}, "actions": [], "state": {"count": 40}, "metadata": {}}'
    saved = type_.json("handoffs", "save", agent, "-", "--summary", "by hand", stdin=by_hand)
    assert type_.run("agents", "run", agent).stdout == "run 42\n"
    summaries = [row["summary"] for row in type_.json("handoffs", "list", agent)]
    assert summaries == ["counted to 42", "by hand", "counted to 2"]
    assert "by hand" in type_.run("handoffs", "show", agent, saved["id"]).stdout
    assert "deleted" in type_.json("handoffs", "cleanup")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("agents", "register", "AGENT", "--code", "counter.py"), "exists already"),
        (("agents", "register", "x", "--code", "gone.py"), "can't be read from 'gone.py'"),
        (("agents", "register", "x", "--code", "counter.py", "--schedule", "daily"), "daily"),
        (("agents", "register", "x", "--code", "counter.py", "--config", "{"), "holds no JSON"),
        (("agents", "register", "x", "--config", '{"timout": 3}'), "timout: is not known; known are:"),
        (("agents", "register", "x", "--config", '{"timeout": "30"}'), "timeout: must be a number"),
        (("agents", "register", "x", "--config", '{"timeout": true}'), "timeout: must be a number"),
        (("agents", "register", "x", "--config", '{"enabled": "no"}'), "enabled: must be true or false"),
        (
            ("agents", "edit", "AGENT", "--config", '{"limits": {"processes": "9"}}'),
            "limits.processes: must be",
        ),
        (("agents", "register", "x", "--kind", "wombat", "--code", "counter.py"), "'wombat' is not known"),
        (("agents", "register", "x", "--kind", "command"), "needs the setting 'argv'"),
        (("agents", "show", "AGENT", "--version", "9"), "`shiftwork agents versions"),
        (("agents", "edit", "AGENT"), "Nothing to change"),
        (("agents", "run", "nobody"), "There is no agent 'nobody'"),
        (("tasks", "create", "x"), "Give either --provider or --agent"),
        (("tasks", "show", "987654321"), "There is no task 987654321"),
        (("schedules", "backfill", "AGENT", "--from", "now", "--to", "2026-01-01T00:00Z"), "--from: 'now'"),
        (("handoffs", "save", "AGENT", "counter.py"), "handoff"),
        (
            ("handoffs", "save", "AGENT", "handoff.json", "--task", "987654321"),
            "`shiftwork tasks list --agent",
        ),
        (("handoffs", "show", "AGENT", "987654321"), "`shiftwork handoffs list"),
    ],
)
def test_what_is_wrong_is_told(type_, argv, says):
    """If it failed, a mistake would be stored, or end in a traceback."""
    Path("handoff.json").write_text("{}")
    assert says in type_.refused(*(type_.agent if word == "AGENT" else word for word in argv))


def test_pages_have_room(type_):
    """If it failed, tables would be broken by a terminal of usual width."""
    type_.run("agents", "edit", type_.agent, "--description", "It counts, and goes on counting. " * 6)
    type_.run("schedules", "set", type_.agent, "0 9 * * 1-5")
    type_.run("agents", "run", type_.agent)
    type_.run("agents", "run", type_.agent, "--instruction", "fail", status=5)
    task = type_.json("tasks", "list", "--agent", type_.agent)[0]["id"]
    for words in (
        ("agents", "list"),
        ("tasks", "list"),
        ("tasks", "show", str(task)),
        ("schedules", "list"),
        ("handoffs", "latest", type_.agent),
    ):
        page = shown(type_.state, 80, *words)
        assert "Traceback" not in page
        assert [line for line in page.splitlines() if len(line) > 80] == [], words
    type_.run("schedules", "unset", type_.agent)
