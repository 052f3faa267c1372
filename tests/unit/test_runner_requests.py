"""What no program can be given is refused in a sentence, and harms nobody else."""

import os

import pytest
from process_support import marker

from shiftwork.errors import InvalidInput
from shiftwork.runner import (
    AgentConfig,
    AgentStatus,
    InvalidContext,
    Limits,
    LocalProcessRunner,
    ProcessRunnerConfig,
    SpawnFailed,
)
from shiftwork.runner.spec import ProcessSpec
from shiftwork.runner.supervisor import run
from shiftwork.sandbox.base import Launch
from shiftwork.sandbox.choose import candidates, cheap_sandbox, works

SANDBOXES = [sandbox for sandbox in candidates() if works(sandbox)]
LONE = "a \ud800 b"
"""Half of a character, as a mistaken decoder makes it."""


@pytest.mark.parametrize(
    ("make_it", "field"),
    [
        (lambda: AgentConfig("a", "sh", LONE), "task"),
        (lambda: AgentConfig("a", "sh", "t", environment={"A": LONE}), "environment"),
        (lambda: AgentConfig("a", "sh", "t", environment={LONE: "a"}), "environment"),
        (lambda: ProcessRunnerConfig(commands={"a": ["echo", LONE]}), "commands"),
        (lambda: ProcessRunnerConfig(commands={"a": ["echo", "a\0b"]}), "commands"),
        (lambda: ProcessRunnerConfig(commands={"a": ["sleep", 5]}), "commands"),
    ],
)
def test_text_that_no_program_can_be_given_is_refused(make_it, field):
    """Otherwise a mistake would show deep in the runner, as a traceback, or end other agents."""
    with pytest.raises(InvalidContext) as raised:
        make_it()
    assert raised.value.field == field


@pytest.mark.parametrize(
    "limits",
    [
        {"open_files": 100.0},
        {"processes": 2.5},
        {"file_size_mb": 1e14},
        {"cpu_seconds": 1e20},
        {"cpu_seconds": float("nan")},
        {"memory_mb": "100"},
    ],
)
def test_limits_that_the_system_does_not_know_are_refused(limits):
    """Otherwise the process that holds all agents would have to find a meaning for them."""
    with pytest.raises(InvalidInput, match=next(iter(limits))):
        Limits(**limits)


ODD = [
    {"argv": ("/bin/echo", LONE)},
    {"argv": ("/bin/echo", "a\0b")},
    {"env": {"A": LONE}},
    {"env": {"A=B": "c"}},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("sandbox", SANDBOXES, ids=lambda sandbox: sandbox.level)
async def test_a_run_that_can_not_be_started_is_a_sentence_or_a_status(sandbox, tmp_path, odd):
    """Otherwise odd bytes in a step's command would crash the activity that runs it."""
    spec = ProcessSpec(**{"argv": ("/bin/echo", "x"), "env": {}, "cwd": tmp_path, **odd})
    assert await outcome(spec, sandbox) in ("126 and a word", "'echo' was not started")


async def outcome(spec: ProcessSpec, sandbox) -> str:
    try:
        result = await run(spec, sandbox=sandbox)
    except InvalidInput as error:
        return str(error).partition(":")[0]
    return f"{result.exit_status} and {'a word' if result.stderr_tail else 'nothing'}"


@pytest.mark.parametrize("odd", [*ODD, {"limits": "floats"}, {"limits": "huge"}], ids=str)
async def test_one_bad_request_harms_no_other_agent(tmp_path, odd):
    """Otherwise one agent's odd prompt would end every agent of the worker."""
    sandbox = cheap_sandbox()
    config = ProcessRunnerConfig(sandbox=sandbox, working_dir=tmp_path)
    async with LocalProcessRunner(config) as runner:
        innocent = await runner.spawn(AgentConfig("innocent", "sleep", "100"))
        out, into = os.pipe()
        launch = {"argv": ("/bin/echo", "x"), "env": {}, "cwd": tmp_path, **odd}
        if "limits" in odd:
            # As if they had not been checked: what holds other agents must not rely on that.
            name, number = ("open_files", 100.0) if odd["limits"] == "floats" else ("file_size_mb", 1 << 80)
            launch["limits"] = Limits()
            object.__setattr__(launch["limits"], name, number)
        held = sandbox.start(Launch(**launch, marker=marker(), stdout=into, stderr=into))
        os.close(into)
        assert (await held.ended).code == 126
        assert os.read(out, 1000)
        os.close(out)
        assert (await (await runner.spawn(AgentConfig("b", "echo", "x"))).wait()).success
        assert innocent.status() is AgentStatus.RUNNING


@pytest.mark.parametrize("sandbox", SANDBOXES, ids=lambda sandbox: sandbox.level)
async def test_a_prompt_that_is_too_long_for_an_argument(sandbox, tmp_path):
    """Otherwise people would run fewer agents, where their prompt belongs on standard input."""
    async with LocalProcessRunner(ProcessRunnerConfig(sandbox=sandbox, working_dir=tmp_path)) as runner:
        with pytest.raises(SpawnFailed, match="standard input") as failed:
            await runner.spawn(AgentConfig("a", "echo", "x" * 200_000))
    assert "standard input" in failed.value.hint
