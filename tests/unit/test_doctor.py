"""`shiftwork doctor`: what it says of the machine and of every backend."""

import json
import os
import re
import subprocess
import sys
import time

import pytest
from restricted_support import UNUSABLE, run_restricted

from activities.orphans import WorkerRecord, working_levels
from client.cli.doctor import Machine, git_version, look_at_machine
from client.cli.found import NEEDS, find_all, unconfinable
from client.cli.running import Running
from shiftwork.agents.command import CommandBackend
from shiftwork.agents.protocol import BackendReport, Settings
from shiftwork.agents.registry import backends
from shiftwork.contracts.sandbox import Profile
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.sandbox.levels import default_minimum, level_named
from shiftwork.settings import Settings as Environment
from shiftwork.shells import find_shell


def run_doctor(state, *arguments, **environment):
    env = {**os.environ, "SHIFTWORK_STATE": str(state), **environment}
    argv = [sys.executable, "-P", "-m", "client", "doctor", *arguments]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)


def test_what_is_told(tmp_path):
    """If it failed, nobody could find out why an agent does not start."""
    done = run_doctor(tmp_path / "state", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert [backend["name"] for backend in told["backends"]] == sorted(backends())
    assert (told["usable"], told["git"], told["stack"]) == (True, git_version(), None)
    assert told["shell"] == find_shell()
    assert told["worker"] == {"running": None, "sandboxes": []}
    scripted = next(backend for backend in told["backends"] if backend["name"] == "scripted")
    assert told["sandbox"] == choose_sandbox().level
    assert told["sandbox_leaves"] == dict(level_named(told["sandbox"]).leaves)
    assert told["sandbox_minimum"] == default_minimum().label
    assert (scripted["found"], scripted["usable"], scripted["missing"]) == (sys.executable, True, [])


def test_people_read_a_table_and_what_is_missing(tmp_path):
    """If it failed, a machine without git would look fine until the first project fails."""
    done = run_doctor(tmp_path / "state", PATH="/nowhere")
    assert done.returncode == 1
    assert done.stdout.endswith("Shiftwork needs git 2.38 or newer: install it first.\n")
    assert re.search(r"^scripted +yes", done.stdout, re.MULTILINE)
    assert "stack     none is running" in done.stdout
    assert "worker" not in done.stdout.partition("\n\n")[0]
    assert "those of this shell; what counts is the environment of the worker" in done.stdout


def test_a_sandbox_below_the_minimum_is_a_problem(tmp_path):
    """If it failed, a worker would not start, and nobody could find out why."""
    environment = {"SHIFTWORK_STATE": str(tmp_path / "state"), "SHIFTWORK_SANDBOX_MINIMUM": "bwrap"}
    done = run_restricted("-P", "-m", "client", "doctor", "--json", **environment)
    if done.returncode == UNUSABLE:
        pytest.skip("this machine can't be restricted")
    told = json.loads(done.stdout)
    assert (done.returncode, told["usable"], told["sandbox_minimum"]) == (1, False, "bwrap")
    assert "reaches the minimum 'bwrap'" in told["problems"][0]
    assert set(told["sandbox_leaves"]) == set(level_named(told["sandbox"]).leaves)
    assert any("user.max_user_namespaces" in one for one in told["sandbox_obstacles"])


def test_people_read_what_is_left_open(tmp_path):
    """If it failed, a weaker sandbox would look like the strongest."""
    done = run_restricted("-P", "-m", "client", "doctor", SHIFTWORK_STATE=str(tmp_path / "state"))
    if done.returncode == UNUSABLE:
        pytest.skip("this machine can't be restricted")
    assert "NOT CONFINED  THAT IS" in done.stdout
    assert "TMPDIR leads into" in done.stdout
    assert "A stronger sandbox does not work:\nThe sysctl user.max_user_namespaces is 0" in done.stdout


class SlowBackend(CommandBackend):
    """Takes a second to answer."""

    name = "slow"

    def diagnose(self, settings: Settings) -> BackendReport:
        time.sleep(1)
        return BackendReport(self.name)


class BrokenBackend(CommandBackend):
    """Can't answer."""

    name = "broken"

    def diagnose(self, settings: Settings) -> BackendReport:
        raise OSError("out of reach")


def test_one_bad_backend_hides_no_other():
    """If it failed, a program that hangs or breaks would keep people from seeing the others."""
    known = {one.name: one for one in (SlowBackend(), BrokenBackend(), CommandBackend())}
    broken, command, slow = find_all(known, seconds=0.3)
    assert broken.missing == ("Looking for it failed: out of reach",)
    assert command.usable_in == tuple(Profile)
    assert slow.missing == ("It did not answer within 0.3 s: run its program by hand to see why.",)


def test_a_damaged_stack_file_is_told(tmp_path):
    """If it failed, the command that looks for trouble would end in a traceback."""
    (tmp_path / "stack.json").write_text("{")
    machine = look_at_machine(Environment(state=tmp_path))
    assert isinstance(machine, Machine)
    assert "is damaged" in machine.problems[0]


def test_a_login_works_in_open_alone(tmp_path):
    """If it failed, a login would look like all that is needed, and the first project would pause."""
    folder = tmp_path / ".codex"
    folder.mkdir()
    (folder / "auth.json").write_text("{}")
    keys = dict.fromkeys(("CODEX_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"), "")
    home = {"CODEX_HOME": str(folder)}
    done = run_doctor(tmp_path / "state", "--json", **keys, **home)
    codex = next(one for one in json.loads(done.stdout)["backends"] if one["name"] == "codex")
    if codex["found"] is None:
        pytest.skip("codex is not installed")
    assert (codex["usable"], codex["usable_in"]) == (False, ["open"])
    assert "works only in a project whose sandbox has the profile 'open'" in codex["missing"][0]
    assert "`codex login` works in the profile open alone" in codex["needs_in_strict"]


def test_what_an_agent_needs_is_said_of_every_backend():
    """If it failed, `doctor` would say nothing of a backend, or end in a traceback."""
    assert set(NEEDS) == set(backends())


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
def test_what_an_agent_is_said_to_need_is_enough(name, monkeypatch):
    """If it failed, people would set a variable that nobody reads."""
    variables = re.findall(r"[A-Z][A-Z_]+_(?:KEY|TOKEN)", NEEDS[name])
    for each in (*variables, "OPENAI_BASE_URL"):
        monkeypatch.delenv(each, raising=False)
    backend = backends()[name]
    assert unconfinable(backend, {}) is not None
    for each in variables:
        with monkeypatch.context() as environment:
            environment.setenv(each, "some-key")
            assert unconfinable(backend, {}) is None, each
    monkeypatch.setenv("ANY_NAME", "some-key")
    settings = {"credential": "env:ANY_NAME"}
    assert unconfinable(backend, settings) is None
    assert not [one for one in backend.diagnose(settings).problems if "key" in one or "credential" in one]


def test_a_worker_is_told_with_its_sandbox(tmp_path):
    """If it failed, nobody could see at which level the worker that runs confines its agents."""
    with WorkerRecord(tmp_path) as record:
        assert working_levels(tmp_path) == [""]
        assert Running(worker=True, levels=("",)).worker_line == "is starting"
        record.holds("bwrap")
        assert working_levels(tmp_path) == ["bwrap"]
    assert working_levels(tmp_path) == []
    assert Running(worker=True, levels=("bwrap",)).worker_line == "runs, in the sandbox bwrap"
    two = Running(worker=True, levels=("bwrap", "", "landlock"))
    assert two.worker_line == "2 run, in the sandboxes bwrap, landlock"
    assert Running(worker=False).worker_line == "none is running: start one with `shiftwork worker`"
