"""What `check_harness` finds beyond the plainest faults, and how it says so."""

import asyncio
import json
import subprocess
import sys
import time

import pytest

from client.__main__ import main
from shiftwork.environments.conformance import ByName, check_by_name, check_harness
from shiftwork.errors import EnvironmentFailed, InvalidInput
from tests.unit.broken_environments import CannotBeUsedHere, OrderOfASet, Sound, Waits

HERE = __name__


class ExitsInitialize(Sound):
    async def initialize(self):
        sys.exit(0)


class ExitsReset(Sound):
    async def reset(self, seed=0):
        sys.exit(0)


class Foreign(BaseException):
    """Of another package."""


class RaisesForeign(Sound):
    async def step(self, action, **parameters):
        raise Foreign("time is up")


class AsksForeign(Sound):
    async def get_observation(self):
        raise Foreign("time is up")


class Interrupts(Sound):
    async def step(self, action, **parameters):
        raise KeyboardInterrupt


class ExitsSuccess(Sound):
    def is_success(self):
        sys.exit(0)


class ExitsShutdown(Sound):
    async def shutdown(self):
        sys.exit(0)


class ExitsAltogether(Sound):
    async def initialize(self):
        asyncio.get_running_loop().call_soon(sys.exit, 0)
        await asyncio.sleep(5)
        return True


class GivesUp(Sound):
    async def reset(self, seed=0):
        raise asyncio.CancelledError


class HalfACharacter(Sound):
    def seen(self):
        return super().seen().model_copy(update={"metadata": {"name": "\ud83d"}})


class Shrinks(Sound):
    def get_action_space(self):
        return super().get_action_space()[: 1 if len(self.path) > 3 else 2]


def waiting():
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


class LeavesProcess(Sound):
    started = ()

    async def reset(self, seed=0):
        self.begun = waiting()
        LeavesProcess.started += (self.begun,)
        return await super().reset(seed)

    def __deepcopy__(self, memo):
        raise TypeError


class EndsBothWays(Sound):
    def seen(self):
        seen = super().seen()
        return seen.model_copy(update={"truncated": seen.terminated})


class DrawsItsActions(Sound):
    asked = 0

    def get_action_space(self):
        DrawsItsActions.asked += 1
        return super().get_action_space()[DrawsItsActions.asked % 2 :]


class LetsNothingThrough(Sound):
    async def step(self, action, **parameters):
        try:
            await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            await asyncio.sleep(0.8)
        return await super().step(action, **parameters)


class TooSlowForItself(Sound):
    def __init__(self):
        super().__init__(timeout_seconds=0.3)

    async def step(self, action, **parameters):
        await asyncio.sleep(0.4)
        return await super().step(action, **parameters)


class NeverReturns(Sound):
    async def step(self, action, **parameters):
        while True:
            time.sleep(1)  # noqa: ASYNC251 - what is to be found


class TakesLong(Sound):
    steps = 0

    async def step(self, action, **parameters):
        TakesLong.steps += 1
        time.sleep(0.2)  # noqa: ASYNC251 - what is to be found
        return await super().step(action, **parameters)


class CannotBeMade(Sound):
    def __init__(self):
        raise TypeError("no display")


FINDS = {
    ExitsInitialize: ("initialize", "SystemExit: 0"),
    CannotBeUsedHere: ("initialize", "returned False: the environment can't be used here; check it where"),
    ExitsReset: ("reset", "SystemExit"),
    ExitsSuccess: ("reading", "is_success() raised SystemExit: 0"),
    ExitsShutdown: ("shutdown", "raised SystemExit: 0"),
    GivesUp: ("reset", "Cancelled"),
    OrderOfASet: ("another-process", "differs at reset in another process; sort"),
    HalfACharacter: ("reset", "holds a lone surrogate, which no encoding knows; replace it"),
    Shrinks: ("available-actions", "'rest' is no longer in get_action_space()"),
    LeavesProcess: ("left-behind", "there still runs process "),
    EndsBothWays: ("is-done", "terminated and truncated are both set"),
    DrawsItsActions: ("action-space", "differs from one call to the next"),
    LetsNothingThrough: ("failed-actions", "after its time was over"),
    TooSlowForItself: ("exceptions", "make step() faster, or timeout_seconds longer"),
}


@pytest.mark.parametrize("kind", FINDS, ids=lambda kind: kind.__name__)
async def test_a_fault_is_found_and_named(kind):
    """The environment would pass, end the program that checks it, or be mended in the wrong place."""
    try:
        report = await check_harness(kind, episodes=2, steps=12)
    finally:
        for process in LeavesProcess.started:
            process.kill()
            process.communicate()
        LeavesProcess.started = ()

    print(*report.faults, *report.skipped, sep="\n")
    rule, message = FINDS[kind]
    assert rule in {fault.rule for fault in report.faults}
    assert message in next(fault.message for fault in report.faults if fault.rule == rule)
    assert kind is ExitsSuccess or len(report.faults) == 1


async def test_a_call_that_hangs_is_waited_for_once_and_told_once():
    """A check would take minutes, and say the same under eight rules."""
    waited = Waits.waits
    report = await check_harness(Waits, call_seconds=0.3)

    assert Waits.waits == waited + 1
    (fault,) = report.faults
    assert fault.rule == "answers"
    assert "step 1 of the episode of seed 0, action " in fault.message
    assert "did not answer in time (0.3 s)" in fault.message
    (skipped,) = report.skipped
    assert "same-seed, another-process, fresh-reset" in skipped
    assert "not looked at, because step 1 of the episode" in skipped


async def test_a_slow_environment_is_not_played_for_long():
    """Who checks one whose steps block would wait for many of them, though two tell."""
    report = await check_harness(TakesLong, block_seconds=0.1)

    assert TakesLong.steps < 20
    assert [fault.rule for fault in report.faults] == ["blocking"]
    assert any("same-seed" in told and "'blocking' is not kept" in told for told in report.skipped)


@pytest.mark.parametrize("given", [CannotBeMade, lambda: 3, lambda: sys.exit(0)])
async def test_what_makes_none_is_refused(given):
    """People would get a traceback of a constructor, or nothing at all."""
    with pytest.raises(InvalidInput, match="what should make the environment"):
        await check_harness(given)


async def test_an_environment_with_parameters_is_played_in_another_process_by_its_name():
    """What depends on the process would be found in classes that take no parameters alone."""
    report = await check_harness(ByName("number_guess", {"low": 5, "high": 50}), steps=5)

    assert report.ok
    assert "another-process" in report.checked


async def test_what_can_not_be_interrupted_is_ended():
    """`env check` would hang for good, and so would whatever runs it."""
    report = await check_by_name(f"{HERE}:NeverReturns", call_seconds=0.5, grace_seconds=6.0)

    assert report.faults[-1].rule == "blocking"
    assert "step 1 of the episode of seed 0" in report.faults[-1].message
    assert "did not return" in report.faults[-1].message
    assert "reset" in report.checked


@pytest.mark.parametrize(
    ("name", "told"),
    [("RaisesForeign", "step 1 of the episode of seed 0"), ("AsksForeign", "get_observation()")],
)
async def test_what_is_no_exception_is_found_where_it_was_raised(name, told):
    """It would end the check, and be told as something that the environment did when it was shut down."""
    report = await check_by_name(f"{HERE}:{name}", steps=4, episodes=1)

    first = report.faults[0].message
    assert told in first
    assert "Foreign: time is up" in first


async def test_who_interrupts_the_check_is_told_by_the_call():
    """An environment that ends its program in a step would be looked through for what it does at its end."""
    with pytest.raises(EnvironmentFailed, match="at step 1 of the episode of seed 0"):
        await check_by_name(f"{HERE}:Interrupts", steps=4, episodes=1)


@pytest.mark.parametrize("name", ["ExitsInitialize", "ExitsReset", "ExitsSuccess", "ExitsShutdown"])
def test_a_check_that_an_environment_ends_has_not_passed(name, capsys):
    """A pipeline would take an environment that calls `sys.exit(0)` for a sound one."""
    assert main(["env", "check", f"{HERE}:{name}", "--json"]) == 5
    assert not json.loads(capsys.readouterr().out)["ok"]


def test_a_process_that_an_environment_ends_is_told(capsys):
    """What ends the program from behind would end the check without a verdict."""
    assert main(["env", "check", f"{HERE}:ExitsAltogether"]) == 1
    assert "ended its process at " in capsys.readouterr().err
