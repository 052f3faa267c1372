"""What a `python` agent's code sees, and what comes of it."""

import asyncio
import signal
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from shiftwork.agents.outbox import PROGRESS_LIMIT
from shiftwork.agents.python import program
from shiftwork.agents.python.job import PythonJob
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import InvalidInput
from shiftwork.handoffs import HandoffContext
from shiftwork.handoffs.context import MOST_BYTES
from tests.unit.python_support import make_runner, run

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(tmp_path_factory):
    async with make_runner(tmp_path_factory.mktemp("runner")) as runner:
        yield runner


async def test_what_the_code_is_given(runner):
    """If it failed, an agent would not know its parameters, its instruction or what its last run left."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    handoff = HandoffContext(state={"at": at, "like": {"$datetime": "x"}}, actions=[{"did": "é"}])
    code = """
import sys
print(parameters, instruction, __name__, __file__, sys.argv, sys.stdin.read() == "")
print(handoff.state["at"].year, handoff.state["like"], handoff.actions, handoff.observations)
"""
    outcome = await run(runner, code, parameters={"a": [1, None]}, instruction="go", handoff=handoff)
    assert outcome.result.splitlines() == [
        "{'a': [1, None]} go __main__ agent.py ['agent.py'] True",
        "2026 {'$datetime': 'x'} [{'did': 'é'}] {}",
    ]
    assert (outcome.status, outcome.error, outcome.error_kind) == (TaskStatus.COMPLETED, "", None)
    assert outcome.pre_started
    assert 0 < outcome.duration < 100
    first = await run(runner, "print(handoff)")
    assert first.result == "None\n"


async def test_what_it_leaves_is_what_its_next_run_gets(runner):
    """If it failed, an agent could not go on where its last run ended."""
    code = """
from datetime import datetime
count = handoff.state["count"] + 1 if handoff else 1
state = {"count": count, "at": datetime(2026, 1, 1), "like": {"$datetime": 1}, "pair": (1, 2)}
save_handoff(observations={"ü": 1.5}, actions=[{"a": 1}], state=state, summary=f"run {count}")
"""
    first = await run(runner, code)
    assert first.handoff == HandoffContext(
        observations={"ü": 1.5},
        actions=[{"a": 1}],
        state={"count": 1, "at": datetime(2026, 1, 1), "like": {"$datetime": 1}, "pair": [1, 2]},  # noqa: DTZ001
    )
    second = await run(runner, code, handoff=first.handoff)
    assert second.handoff is not None
    assert (second.handoff.state["count"], second.summary) == (2, "run 2")


async def test_a_handoff_can_be_a_file(runner):
    """If it failed, code that writes files could leave nothing."""
    code = """
import json, os
with open(os.environ["SHIFTWORK_OUTBOX"] + "/handoff.json", "w") as file:
    json.dump({"state": {"a": 1}}, file)
1 / 0
"""
    outcome = await run(runner, code)
    assert outcome.handoff == HandoffContext(state={"a": 1})
    assert outcome.status is TaskStatus.FAILED


async def test_an_exception_is_told_in_one_line_and_by_the_code_s_own_frames(runner):
    """If it failed, people would look for their mistake in files of ours."""
    code = """
def outer():
    try:
        {}["missing"]
    except KeyError as error:
        raise ValueError("first\\nsecond") from error

outer()
"""
    outcome = await run(runner, code)
    assert outcome.error == "ValueError: first second"
    assert (outcome.error_kind, outcome.exit.code) == (TaskErrorKind.FAILED, 1)
    assert 'File "agent.py", line 6, in outer\n    raise ValueError' in outcome.stderr
    assert '{}["missing"]' in outcome.stderr
    assert "shiftwork" not in outcome.stderr
    assert "<string>" not in outcome.stderr
    refused = await run(runner, "save_handoff(state=[])")
    assert refused.error == "TypeError: state must be a dict, not a list"
    assert "shiftwork" not in refused.stderr


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("x = (\n", "SyntaxError: '(' was never closed (agent.py, line 1)"),
        ("\n\n  x = 1", "IndentationError: unexpected indent (agent.py, line 3)"),
        ("import sys; sys.exit(3)", "The agent's code ended with exit status 3."),
        ("import sys; sys.exit('it is late')", "it is late"),
        ("raise ExceptionGroup('two', [OSError(), KeyError()])", "ExceptionGroup: two (2 sub-exceptions)"),
        ("import os; os.kill(os.getpid(), 9)", "The agent's code was ended by the signal SIGKILL."),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
    ],
)
async def test_how_code_fails(runner, code, error):
    """If it failed, a mistake would be told without its place, or a failure would count as a success."""
    outcome = await run(runner, code)
    assert outcome.error == error
    assert outcome.status is TaskStatus.FAILED
    assert outcome.error_kind is TaskErrorKind.FAILED


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "raise SystemExit", "import os; os._exit(0)"])
async def test_exit_status_0_is_a_success_however_it_comes(runner, code):
    """If it failed, code that ends early would count as failed."""
    assert (await run(runner, code)).status is TaskStatus.COMPLETED


async def test_output_is_cut_and_says_so(runner):
    """If it failed, one agent could fill the database."""
    code = "import sys; print('a' * 9_999); print('é' * 9_999, 'the end', file=sys.stderr)"
    outcome = await run(runner, code, max_output_bytes=1_000)
    assert outcome.result.startswith("aaa")
    assert outcome.result.endswith("… (of 10,000 bytes, the first are kept)\n")
    assert outcome.stderr.startswith("… (of 20,007 bytes, the last are kept)\né")
    assert outcome.stderr.endswith("é the end\n")
    assert max(len(outcome.result.encode()), len(outcome.stderr.encode())) <= 1_000
    whole = await run(runner, "print('a' * 999)", max_output_bytes=1_000)
    assert whole.result == "a" * 999 + "\n"
    tiny = await run(runner, "print('é' * 999)", max_output_bytes=3)
    assert tiny.result == "é"


async def test_what_is_no_text_is_shown_as_far_as_it_is(runner):
    """If it failed, a row could not be stored, or a terminal would obey an agent."""
    outcome = await run(runner, r"import os; os.write(1, b'\xff\x00\x1b[31mred\n')")
    assert outcome.result == "\ufffd[31mred\n"


async def test_secrets_are_taken_out_also_at_the_cut(tmp_path):
    """If it failed, the half of a key that the cut leaves would be stored."""
    secret = b"k" * 30
    runner = make_runner(tmp_path, redact=lambda data: data.replace(secret, b"[redacted]"))
    outcome = await run(runner, f"print('x' * 90 + {secret.decode()!r} * 9)", max_output_bytes=150)
    assert "kk" not in outcome.result
    assert not outcome.pre_started
    await runner.close()


async def test_time_is_over(runner):
    """If it failed, an agent that sleeps would run for ever, or lose what it had said."""
    outcome = await run(runner, "print('before'); import time; time.sleep(1000)", timeout=0.5)
    assert (outcome.status, outcome.error_kind) == (TaskStatus.FAILED, TaskErrorKind.TIMEOUT)
    assert outcome.error == "It was ended after 0.5 s, because its time was over."
    assert outcome.result == "before\n"
    assert 0.4 < outcome.duration < 100
    assert outcome.exit.signal == signal.SIGTERM


async def test_a_run_can_be_stopped(runner):
    """If it failed, a person could not end a task."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, stop.set)
    outcome = await runner.run(PythonJob("import time; time.sleep(1000)"), stop=stop)
    assert (outcome.status, outcome.error_kind) == (TaskStatus.FAILED, TaskErrorKind.CANCELLED)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"code": " \n"}, "has no code"),
        ({"code": "a\0"}, "NUL"),
        ({"code": "'\ud800'"}, "lone surrogate"),
        ({"code": "#" * 1_000_001}, "takes 1,000,001 bytes, and may take 1,000,000"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"instruction": "x" * 1_000_001}, "instruction"),
        ({"max_output_bytes": 0}, "max_output_bytes"),
        ({"parameters": {"a": "x" * 300_000}}, "parameters"),
        ({"parameters": {"a": float("inf")}}, "parameters"),
        ({"parameters": {"a": object()}}, "parameters"),
        ({"handoff": HandoffContext(state={"a": "x" * 300_000})}, "handoff"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_can_not_be_run_is_refused_before_anything_is(wrong, sentence):
    """If it failed, a task would fail for ever, or without a word of what is wrong."""
    with pytest.raises(InvalidInput, match=sentence):
        PythonJob(**{"code": "pass", **wrong}).told()


async def test_the_bounds_of_what_is_left_are_the_same_inside():
    """If it failed, an agent could leave what is refused outside."""
    assert (program.MOST_HANDOFF_BYTES, program.MOST_PROGRESS_BYTES) == (MOST_BYTES, PROGRESS_LIMIT)


async def test_the_memory_told_is_the_agents_own_and_not_that_of_its_worker(runner):
    """If it failed, people would set memory limits by what the worker needs, whatever the agent does."""
    worker = bytearray(300_000_000)
    worker[::4096] = b"x" * len(worker[::4096])
    hungry = "x = bytearray(60_000_000)\nx[::4096] = b'x' * len(x[::4096])\n"
    small = await run(runner, "print(1)")
    assert 5_000_000 < small.usage.peak_memory < 60_000_000
    for code in (hungry, f"{hungry}import time\ntime.sleep(0.5)\nimport os\nos._exit(0)"):
        large = await run(runner, code)
        assert 60_000_000 < large.usage.peak_memory < 150_000_000
    del worker


@pytest.mark.parametrize(
    "told", ["b'x'", "b'-1'", "b'9' * 18", "b''"], ids=["word", "less", "more", "nothing"]
)
async def test_a_peak_that_can_not_be_is_not_taken_over(runner, told):
    """If it failed, an agent could break the record of its own run by a file in its outbox."""
    code = f"import os\nopen(os.environ['SHIFTWORK_OUTBOX'] + '/peak', 'wb').write({told})\nos._exit(0)"
    outcome = await run(runner, code)
    assert (outcome.status, outcome.usage.peak_memory < 60_000_000) == (TaskStatus.COMPLETED, True)
