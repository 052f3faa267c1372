"""`shiftwork doctor`: what it says of the machine and of every backend."""

import json
import os
import subprocess
import sys
import time

import pytest
from restricted_support import UNUSABLE, run_restricted

from client.cli.doctor import Machine, diagnose_all, git_version, look_at_machine
from shiftwork.agents.command import CommandBackend
from shiftwork.agents.protocol import BackendReport, Settings
from shiftwork.agents.registry import backends
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.sandbox.levels import default_minimum, level_named
from shiftwork.settings import Settings as Environment


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
    assert "scripted  yes" in done.stdout
    assert "none is running" in done.stdout


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
    broken, command, slow = diagnose_all(known, seconds=0.3)
    assert broken.problems == ("Looking for it failed: out of reach",)
    assert command.usable
    assert slow.problems == ("It did not answer within 0.3 s: run its program by hand to see why.",)


def test_a_damaged_stack_file_is_told(tmp_path):
    """If it failed, the command that looks for trouble would end in a traceback."""
    (tmp_path / "stack.json").write_text("{")
    machine = look_at_machine(Environment(state=tmp_path))
    assert isinstance(machine, Machine)
    assert "is damaged" in machine.problems[0]
