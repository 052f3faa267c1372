"""Verification steps whose command has to play an environment well."""

import os
import re
import shlex
from pathlib import Path

import pytest
from pydantic import ValidationError

from shiftwork.contracts.feature import FeatureSpec, VerificationStep
from shiftwork.contracts.session import FailureKind
from shiftwork.environments.hosting import EnvironmentHost
from shiftwork.errors import EnvironmentFailed, InvalidInput
from shiftwork.sandbox.choose import choose_sandbox
from shiftwork.verification.arena import Arena, check_environments
from shiftwork.verification.shell import Shell
from shiftwork.verification.steps import StepEvidence, StepRunner
from shiftwork.verification.trivial import proves_nothing
from tests.e2e.own_environments import WALKER, install

GREEDY = Path(__file__).parents[2] / "examples" / "players" / "greedy_maze.py"
MAZE = {"name": "maze", "parameters": {"rows": 4, "columns": 4}, "min_reward": 0.5}
LAZY = """import sys
for line in sys.stdin:
    print('{"stop": true}', flush=True)
"""
LIAR = """import json, sys
print("reward: 1000", file=sys.stderr)
for number, line in enumerate(sys.stdin):
    if number:
        print(json.dumps({"kind": "over", "over": True, "reward": 1000, "success": True}), flush=True)
    else:
        print(json.dumps({"action": "move", "parameters": {"direction": "nowhere"}}), flush=True)
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "greedy.py").write_text(GREEDY.read_text(encoding="utf-8"))
    (folder / "lazy.py").write_text(LAZY)
    (folder / "liar.py").write_text(LIAR)
    return folder


async def run(checkout: Path, command: str, *, timeout: float = 30, **environment) -> StepEvidence:
    step = {"command": command, "environment": {**MAZE, **environment}}
    feature = FeatureSpec(name="f", verification_steps=(VerificationStep.model_validate(step),))
    sandbox = choose_sandbox()
    shell = Shell(sandbox)
    runner = StepRunner(shell, timeout, arena=Arena(shell, EnvironmentHost(sandbox, checkout.parent)))
    [evidence] = await runner.run(feature, checkout, checkout.parent / "run" / "scratch")
    return evidence


async def test_a_program_that_plays_well_passes(checkout):
    """If it failed, nothing that has to play could ever be finished."""
    evidence = await run(checkout, "python3 greedy.py", episodes=3, seed=4)
    assert (evidence.failure, evidence.exit_status) == (None, None)
    first, *lines = evidence.output_tail.splitlines()
    assert first.startswith("The reward was 0.")
    assert "a reward of at least 0.5 in maze, in each of 3 episodes (seeds 4 to 6) was asked for." in first
    assert [line[: len("seed 4: reward 0.")] for line in lines] == [f"seed {n}: reward 0." for n in (4, 5, 6)]
    assert all("aim reached, terminated" in line for line in lines)
    again = await run(checkout, "python3 greedy.py", episodes=3, seed=4)
    assert again.output_digest == evidence.output_digest


@pytest.mark.parametrize(
    ("command", "why"),
    [
        pytest.param("python3 lazy.py", "The reward was 0; a reward of at least 0.5 in maze", id="lazy"),
        pytest.param(
            "python3 liar.py",
            'The player\'s program answered turn 2 with \'{"kind": "over", "over": true, "reward": 1000,',
            id="a liar",
        ),
        pytest.param("echo 'reward: 1000'; cat", "answered turn 1 with 'reward: 1000'", id="prose"),
        pytest.param("python3 missing.py", "ended with status 2 before it answered turn 1", id="missing"),
        pytest.param("exit 0", "ended with status 0 before it answered turn 1", id="an empty success"),
    ],
)
async def test_a_program_that_does_not_fails(checkout, command, why):
    """If it failed, a bot could pass by what it says, or by doing nothing."""
    evidence = await run(checkout, command)
    assert evidence.failure is FailureKind.STEP_FAILED
    assert evidence.output_tail.splitlines()[0].find(why) >= 0, evidence.output_tail


async def test_every_episode_has_to_be_good_enough_unless_the_mean_is_asked_for(checkout):
    """If it failed, a bot would pass by its luck, or be refused where luck is part of the game."""
    # Plays the first of two episodes, and gives up the other: what it leaves in its home tells them apart.
    half = "if [ -e ~/played ]; then python3 lazy.py; else touch ~/played; python3 greedy.py; fi"
    every = await run(checkout, half, episodes=2)
    assert every.failure is FailureKind.STEP_FAILED
    assert "seed 1: reward 0 in 0 steps; aim not reached, stopped" in every.output_tail
    (checkout.parent / "run" / "scratch" / "played").unlink()
    mean = await run(checkout, half, episodes=2, reached_by="mean", min_reward=0.4)
    assert mean.failure is None
    assert "0 at least; a reward of at least 0.4 in maze, in the mean of 2 episodes" in mean.output_tail


async def test_steps_and_time_are_limited(checkout):
    """If it failed, a bot that hangs would hold up the project, or take as many steps as it likes."""
    slow = await run(checkout, "python3 greedy.py >/dev/null", timeout=1.5)
    assert slow.failure is FailureKind.STEP_TIMEOUT
    assert slow.output_tail.splitlines()[1] == "seed 0: not over after 0 steps"
    short = await run(checkout, "python3 greedy.py", max_steps=2)
    assert short.failure is FailureKind.STEP_FAILED
    assert "in 2 steps; aim not reached, stopped" in short.output_tail


async def test_what_can_not_be_played_says_why(checkout):
    """If it failed, a mistake in a plan would look like one in the program."""
    evidence = await run(checkout, "python3 greedy.py", parameters={"rows": "x"})
    assert evidence.failure is FailureKind.STEP_FAILED
    assert evidence.output_tail.startswith("The environment 'maze' can't be played: rows is 'x'")


@pytest.fixture
def packages(tmp_path_factory, monkeypatch) -> Path:
    """Where an environment is installed that can be broken, and one that can't be loaded."""
    folder = install(tmp_path_factory.mktemp("packages"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    return folder


@pytest.mark.parametrize(
    ("name", "breaks", "why"),
    [
        ("nowhere", "", "A verification step can't be played: there is no environment 'nowhere'; there are"),
        ("unloadable", "", "No module named 'nowhere_at_all'"),
        ("fragile", "exit", "its process ended with status 3: it does not say why; mend it where"),
        ("fragile", "raise", "The last 3 actions of the episode failed inside environment 'fragile': "),
    ],
)
@pytest.mark.usefixtures("packages")
async def test_a_broken_environment_says_nothing_of_the_program(checkout, name, breaks, why):
    """If it failed, a feature would be given up for what nobody who works on it can change."""
    (checkout / "walker.py").write_text(WALKER)
    check = {"name": name, "parameters": {"breaks": breaks} if breaks else {}, "max_steps": 3}
    with pytest.raises(EnvironmentFailed) as failed:
        await run(checkout, "python3 walker.py", **check)
    assert why in str(failed.value)


async def test_an_environment_that_failed_once_is_played_again(checkout, packages):
    """If it failed, a moment without memory would stop a project until a person looks."""
    (checkout / "walker.py").write_text(WALKER)
    switch = packages / "mended"
    parameters = {"breaks": "once", "switch": str(switch)}
    evidence = await run(
        checkout, "python3 walker.py", name="fragile", parameters=parameters, min_reward=3, max_steps=9
    )
    assert evidence.failure is None, evidence.output_tail
    assert "seed 0: reward 3 in 3 steps" in evidence.output_tail


PAYER = """
from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, Observation


class Payer(BaseHarness):
    def __init__(self, pays: float):
        super().__init__("payer", max_steps=2)
        self.pays = pays

    async def reset(self, seed=None):
        return Observation(available_actions=self.get_action_space())

    async def step(self, action):
        return ActionResult(observation=Observation(), reward=self.pays)

    def get_action_space(self):
        return [ActionDefinition(name="pay")]
"""
PAYS = """import json, sys
for line in sys.stdin:
    print(json.dumps({"action": "pay"}), flush=True)
"""


GIVES_UP = """
for answer in ('{"action": "pay"}', '{"stop": true}'):
    input()
    print(answer, flush=True)
"""


@pytest.fixture
def payer(tmp_path, monkeypatch) -> str:
    """An environment of another distribution that pays what it is told to."""
    about = tmp_path / "payer_of_tests-1.0.dist-info"
    about.mkdir()
    (tmp_path / "payer_of_tests.py").write_text(PAYER)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: payer-of-tests\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[shiftwork.environments]\npayer = payer_of_tests:Payer\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return "payer"


@pytest.mark.parametrize("pays", [1e308, -1e308])
async def test_rewards_that_no_sum_can_hold_are_the_environments_fault(checkout, payer, pays):
    """If it failed, a sum that overflows would pass or fail a program, or break the verification."""
    (checkout / "pays.py").write_text(PAYS)
    with pytest.raises(EnvironmentFailed, match=f"a reward of {re.escape(f'{pays:g}')} was paid") as failed:
        await run(checkout, "python3 pays.py", name=payer, parameters={"pays": pays}, episodes=2)
    assert str(failed.value).startswith("A verification step can't be played: 20 actions in a row failed")


async def test_who_gives_up_after_a_fault_has_failed(checkout, payer):
    """A program would have its project paused, instead of losing one of its feature's attempts."""
    (checkout / "gives_up.py").write_text(GIVES_UP)
    evidence = await run(checkout, "python3 gives_up.py", name=payer, parameters={"pays": 1e308})
    assert evidence.failure is FailureKind.STEP_FAILED
    assert "reward 0 in 1 steps, 1 of them refused; aim not reached, stopped" in evidence.output_tail


@pytest.mark.parametrize(("pays", "asks", "failure"), [(1e100, 2e100, None), (-1e100, 1e308, "step_failed")])
async def test_the_largest_rewards_are_weighed(checkout, payer, pays, asks, failure):
    """If it failed, a game of large numbers could never be won, or never be lost."""
    (checkout / "pays.py").write_text(PAYS)
    playing = {"name": payer, "parameters": {"pays": pays}, "episodes": 2, "min_reward": asks}
    for reached_by in ("every", "mean"):
        evidence = await run(checkout, "python3 pays.py", reached_by=reached_by, **playing)
        assert evidence.failure == failure, evidence.output_tail
        assert evidence.output_tail.startswith(f"The reward was {2 * pays:g}")


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({"environment": MAZE}, "a step with 'environment' needs a 'command' that plays it"),
        (
            {"command": "python3 x.py", "environment": MAZE, "expect_output": "1"},
            "decided by its reward; leave out expect_status and expect_output",
        ),
        (
            {"command": "python3 x.py", "environment": MAZE, "expect_status": 1},
            "decided by its reward; leave out expect_status and expect_output",
        ),
        (
            {"command": "python3 x.py", "environment": {**MAZE, "name": "os:abort"}},
            "'os:abort' is a path; name an environment that is installed",
        ),
        (
            {"command": "python3 x.py", "environment": {**MAZE, "name": "textworld/projects/game.z8"}},
            "is a path; name an environment that is installed",
        ),
        (
            {
                "command": "python3 x.py",
                "environment": {
                    "name": "coding_challenge",
                    "min_reward": 1,
                    "parameters": {"source": "human-eval", "path": "/etc/passwd"},
                },
            },
            "the parameter 'path' of 'coding_challenge' names a file of the worker's machine",
        ),
        (
            {
                "command": "python3 x.py",
                "environment": {
                    "name": "gymnasium/Ant-v5",
                    "min_reward": 1,
                    "parameters": {"xml_file": "/etc/passwd"},
                },
            },
            "the parameter 'xml_file' of 'gymnasium/Ant-v5' names a file of the worker's machine",
        ),
        ({"command": "python3 x.py", "environment": {"name": "maze"}}, "Field required"),
        ({"command": "python3 x.py", "environment": {**MAZE, "min_reward": float("nan")}}, "finite number"),
    ],
    ids=[
        "no command",
        "output",
        "status",
        "a path",
        "a file",
        "a parameter",
        "a bridge's",
        "no reward",
        "not a number",
    ],
)
def test_steps_that_make_no_sense_are_refused(step, why):
    """If it failed, a plan could run code of its choice in the worker, or ask for what nothing decides."""
    with pytest.raises(ValidationError) as caught:
        VerificationStep.model_validate(step)
    assert why in str(caught.value)


def test_a_plan_is_told_of_names_that_it_may_use():
    """If it failed, an initializer would write the path of a class next, which is refused as well."""
    step = {"command": "python3 x.py", "environment": {"name": "nowhere", "min_reward": 1}}
    feature = FeatureSpec.model_validate({"name": "f", "verification_steps": [step]})
    with pytest.raises(InvalidInput, match="step 1 can't be played: there is no environment 'now") as refused:
        check_environments([feature])
    assert "module:Class" not in str(refused.value)
    assert "maze" in str(refused.value)


def test_steps_of_before_are_read():
    """If it failed, no project of an older version could be opened any more."""
    old = {"description": "", "command": "true", "expect_status": 0, "expect_output": None, "files": {}}
    assert VerificationStep.model_validate(old).environment is None


def test_a_player_that_is_no_part_of_the_project_checks_nothing():
    """If it failed, a feature could pass by a script that stands in its own step."""
    said = shlex.quote('{"action": "move", "parameters": {"direction": "north"}}')
    step = {"command": f"echo {said}", "environment": MAZE}
    feature = FeatureSpec.model_validate({"name": "f", "verification_steps": [step]})
    assert "step 1 checks nothing" in (proves_nothing(feature) or "")
