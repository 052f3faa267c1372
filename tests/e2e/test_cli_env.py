"""Evaluations, as people type them, with a real worker."""

import json
import shlex
import xml.etree.ElementTree as ET

import pytest

from tests.e2e.support import quick_environment
from tests.e2e.test_cli_tasks import Typist
from tests.integration.rest_support import wait_for_worker
from tests.integration.test_cli_widths import shown


@pytest.fixture
def type_(stack, shared_worker, tmp_path, monkeypatch) -> Typist:
    """Somebody in a folder of their own, who meets a worker that is there."""
    wait_for_worker(stack)
    for name, value in quick_environment(stack.state).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Typist(stack.state)


def test_an_evaluation_from_its_beginning_to_its_curve(type_, tmp_path) -> None:
    """People could not have an environment played, or not see what came of it, without a program."""
    done = type_.run("env", "run", "number_guess", "--episodes", 4, "--seed", 3, "--parallel", 2)
    assert done.stderr == ""
    assert done.stdout.startswith("Evaluation ")
    assert sum(line.startswith("episode ") for line in done.stdout.splitlines()) == 4
    newest = type_.json("env", "stats", "--environment", "number_guess", "--last", 1)[0]
    number = newest["id"]
    assert (newest["status"], newest["player"], newest["episodes"]["completed"]) == ("completed", "random", 4)
    assert 0 <= newest["success"]["low"] <= newest["success"]["value"] <= newest["success"]["high"] <= 1
    assert "4/4" in type_.run("env", "stats", number, "--curve", "curve.svg").stdout
    assert ET.fromstring((tmp_path / "curve.svg").read_text()).tag.endswith("svg")
    episodes = type_.json("env", "episodes", number)
    assert [each["seed"] for each in episodes] == list(range(3, 7))
    steps = type_.json("env", "steps", episodes[0]["id"])
    assert len(steps) == episodes[0]["total_steps"] + episodes[0]["refused_actions"]
    assert len(type_.json("env", "steps", episodes[0]["id"], "--after", 2, "--limit", 1)) == 1
    (tmp_path / "again.json").write_text(json.dumps(steps))
    again = type_.json("env", "run", "number_guess", "--seed", 3, "--agent", "scripted:again.json")
    assert again["reward"]["value"] == pytest.approx(episodes[0]["total_reward"])
    both = type_.run("env", "stats", number, again["id"]).stdout
    assert [line.split()[0] for line in both.splitlines()[1:3]] == [str(number), str(again["id"])]
    page = type_.run("env", "watch", number).stdout
    assert "1/1" not in page
    assert "4/4" in page
    for command in (("stats",), ("stats", number), ("episodes", number), ("steps", episodes[0]["id"])):
        said = shown(type_.state, 80, "env", *map(str, command))
        assert "Traceback" not in said
        assert max(map(len, said.splitlines())) <= 80, said
    assert "4/4" in shown(type_.state, 80, "env", "watch", str(number))


def test_what_could_not_be_played_has_its_exit_status(type_) -> None:
    """A script that has an environment played would go on as if it had been."""
    done = type_.run("env", "run", "maze", "--parameter", "rows=x", "--episodes", 2, status=5)
    assert "2 episodes could not be played: " in done.stderr
    assert done.stderr.count("\n") == 1
    assert "0/2" in done.stdout


def test_the_backend_of_programs_plays(type_) -> None:
    """An agent that does whole projects by this backend could not be scored from the command line."""
    argv = json.dumps(["sh", "-c", "./play step guess number=2"])
    settings = ("--agent", "command", "--agent-setting", f"argv={argv}", "--instruction", "Guess.")
    limits = ("--parameter", "low=2", "--parameter", "high=2")
    told = type_.json("env", "run", "number_guess", *limits, *settings)
    assert (told["player"], told["success"]["value"]) == ("command", 1)


def test_what_a_failed_episode_came_to_is_shown(type_, tmp_path) -> None:
    """People would think that nothing was done in an episode that failed after an hour of play."""
    answers = [{"action": "guess", "parameters": {"number": number}} for number in (1, "one", 2)]
    lines = "; ".join(f"read turn; echo {shlex.quote(json.dumps(each))}" for each in answers)
    type_.run("env", "run", "number_guess", "--seed", 3, "--agent", f"command:{lines}; exit 5", status=5)
    number = type_.json("env", "stats", "--environment", "number_guess", "--last", 1)[0]["id"]
    (episode,) = type_.json("env", "episodes", number)
    steps = type_.json("env", "steps", episode["id"])
    assert [each["success"] for each in steps] == [True, False, True]
    assert (episode["status"], episode["total_steps"], episode["refused_actions"]) == ("failed", 2, 1)
    assert episode["total_reward"] == sum(each["reward"] for each in steps)
    line = type_.run("env", "episodes", number).stdout.splitlines()[1].split()
    assert line[:6] == [*map(str, (episode["id"], 1, 3)), "failed", f"{episode['total_reward']:.4g}", "2"]


def test_an_evaluation_is_ended(type_) -> None:
    """A thousand episodes that were begun by mistake could not be ended from the command line."""
    argv = ("env", "run", "maze", "--episodes", 500, "--parameters", '{"rows": 30, "columns": 30}')
    number = type_.json(*argv, "--no-wait", "--key", "by-mistake")["id"]
    assert type_.json(*argv, "--no-wait", "--key", "by-mistake")["id"] == number
    said = type_.run("env", "cancel", number).stdout
    assert said.startswith(f"Evaluation {number} has ended; ")
    assert "has ended already" in type_.refused("env", "cancel", number)


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("run", "nowhere"), "there is no environment 'nowhere'"),
        (("run", "maze", "--agent", "scripted"), "write random, scripted:FILE or command:CMD"),
        (("run", "maze", "--agent", "scripted:none.json"), "No such file or directory"),
        (("run", "maze", "--agent", "scripted:bad.json"), "holds no actions"),
        (("run", "maze", "--agent", "clod"), "Agent backend 'clod' is not known"),
        (("run", "maze", "--agent", "claude:opus"), "name the model of 'claude' by --model"),
        (("run", "maze", "--model", "x"), "is for agents, and 'random' is none"),
        (
            ("run", "maze", "--agent", "scripted", "--agent-setting", "cassette=none.yml"),
            "The scripted agent needs the setting 'cassette', an absolute path",
        ),
        (("run", "maze", "--seed", "2147483646", "--episodes", "3"), "seeds go up to 2147483647"),
        (("run", "maze", "--parallel", "65"), "parallel"),
        (("run", "maze", "--answer-timeout", "5"), "is for --agent command:CMD, and 'random' is none"),
        (
            ("run", "maze", "--agent", "command", "--agent-setting", "argv=[]", "--answer-timeout", "5"),
            "is for --agent command:CMD, and 'command' is none",
        ),
        (("run", "maze", "--agent", "command"), "--agent command --agent-setting 'argv=[PROGRAM, …]'"),
        (("run", "maze", "--agent", "command", "--instruction", "x"), "is for agents, and 'command' is none"),
        (("run", "maze", "--readable", "/dev/null"), "readable"),
        (("run", "maze", "--allow-host", "a.example"), "has no effect in the profile 'strict'"),
        (("stats", "987654321"), "There is no evaluation 987654321"),
        (("stats", "1", "--environment", "maze"), "not both"),
        (("episodes", "987654321"), "There is no evaluation 987654321"),
        (("steps", "987654321"), "There is no episode 987654321"),
        (("watch", "987654321"), "There is no evaluation 987654321"),
        (("cancel", "987654321"), "There is no evaluation 987654321"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_one_sentence(type_, tmp_path, argv, why) -> None:
    """A typing mistake would be answered with a traceback, or begin something."""
    (tmp_path / "bad.json").write_text('{"action": ')
    assert why in type_.refused("env", *argv)
