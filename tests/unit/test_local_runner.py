"""The runner of agents: what it starts, what can be done with that, and what it says when it can't."""

import asyncio
import json
import logging
import os
import sys
import textwrap
from collections import defaultdict
from pathlib import Path

import psutil
import pytest
from process_support import PATIENCE, TREE, living, token

from shiftwork import runner as api
from shiftwork.agents.events import AgentEventKind
from shiftwork.errors import ShiftworkError
from shiftwork.runner import (
    AgentConfig,
    AgentError,
    AgentSignal,
    AgentStatus,
    CommunicationError,
    ExecutionError,
    GracefulShutdown,
    InvalidContext,
    Limits,
    LocalProcessRunner,
    NotFound,
    ProcessRunnerConfig,
    PrometheusText,
    ProviderError,
    SpawnFailed,
    Timeout,
)
from shiftwork.sandbox.choose import candidates, works

COMMANDS = {
    "sh": ["/bin/sh", "-c", "{task}"],
    "python": [sys.executable, "-c", "{task}"],
    "echo": ["/bin/echo", "{task}"],
}
SANDBOXES = [sandbox for sandbox in candidates() if works(sandbox)]


def make(tmp_path, metrics=None, **settings) -> LocalProcessRunner:
    config = ProcessRunnerConfig(working_dir=tmp_path, commands=COMMANDS, **settings)
    return LocalProcessRunner.with_config(config, metrics=metrics)


def shell(task: str, **more) -> AgentConfig:
    return AgentConfig(name="tester", model_backend="sh", task=task, **more)


@pytest.fixture
async def runner(tmp_path):
    async with make(tmp_path) as runner:
        yield runner


async def first_line(handle) -> bytes:
    async for line in handle:
        return line
    raise AssertionError("it ended without a line")


@pytest.mark.parametrize("sandbox", SANDBOXES, ids=lambda sandbox: sandbox.level)
async def test_an_agent_can_be_talked_to(tmp_path, sandbox):
    """Otherwise nobody could work with an agent while it runs, in one of the sandboxes."""
    async with make(tmp_path, sandbox=sandbox) as runner:
        handle = await runner.spawn(shell('read a; echo "heard $a"; echo oops >&2; cat; exit 3'))
        assert handle.status() is AgentStatus.RUNNING
        assert handle.pid > 0
        await handle.write_stdin(b"you\n")
        assert await first_line(handle) == b"heard you"
        await handle.write_stdin(b"one\ntwo")
        handle.close_stdin()
        assert [line async for line in handle] == [b"one", b"two"]
        ended = await handle.wait()
        assert (ended.code, ended.signal, ended.success) == (3, None, False)
        assert handle.status() is AgentStatus.FAILED
        assert await handle.read_stderr() == b"oops\n"
        assert await handle.read_stdout() is None
        assert handle.ended_at > handle.started_at
        with pytest.raises(ExecutionError, match="status 3"):
            handle.raise_for_status()
        with pytest.raises(CommunicationError, match="closed"):
            await handle.write_stdin(b"more")


async def test_reading_never_waits_and_loses_nothing(runner):
    """Otherwise a program that polls would hang, or find less than what was printed before the end."""
    handle = await runner.spawn(shell("echo early; read a; printf late"))
    assert await first_line(handle) == b"early"
    assert await handle.read_stdout() is None
    await handle.write_stdin(b"\n")
    await handle.wait()
    assert await handle.read_stdout() == b"late"


async def test_an_iteration_that_is_left_goes_on_later(runner):
    """Otherwise who waits for one line would lose those that came with it."""
    handle = await runner.spawn(shell("printf 'a\\nb\\nc\\nd'"))
    await handle.wait()
    assert await first_line(handle) == b"a"
    async for lines in handle.batches():
        assert lines == [b"b", b"c"]
        break
    assert [line async for line in handle] == [b"d"]


@pytest.mark.parametrize("sandbox", SANDBOXES, ids=lambda sandbox: sandbox.level)
async def test_the_whole_tree_is_paused_resumed_and_killed(tmp_path, sandbox):
    """Otherwise a daemon of an agent would go on while it is paused, or after it was killed."""
    word = token()
    async with make(tmp_path, sandbox=sandbox) as runner:
        config = AgentConfig("tree", "tree", word)
        commands = {"tree": [sys.executable, "-c", TREE, "{task}"]}
        other = LocalProcessRunner(ProcessRunnerConfig(commands=commands, sandbox=sandbox))
        handle = await other.spawn(config)
        assert await first_line(handle) == b"ready"
        await other.pause(handle.id)
        assert (await other.get_agent(handle.id)).status is AgentStatus.PAUSED
        await until(lambda: states(word) == {psutil.STATUS_STOPPED})
        await other.resume(handle.id)
        await until(lambda: psutil.STATUS_STOPPED not in states(word))
        assert handle.status() is AgentStatus.RUNNING
        await other.kill(handle.id)
        assert living(word) == []
        assert handle.status() is AgentStatus.TERMINATED
        assert handle.exit_signal == 9
        await other.shutdown_all()
        assert await runner.list_agents() == []


def states(word: str) -> set[str]:
    """Of the sleeping processes that hold this word."""
    found = set()
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if word in line and line[0].endswith("sleep"):
            found.add(process.info["status"])
    return found


async def until(condition, seconds: float = PATIENCE) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_a_graceful_shutdown_asks_first(runner):
    """Otherwise an agent could not save its work, or one that is deaf would live for ever."""
    polite = await runner.spawn(shell("trap 'echo bye; exit 5' TERM; echo go; while :; do sleep 0.01; done"))
    deaf = await runner.spawn(shell("trap '' TERM; echo go; while :; do sleep 0.01; done"))
    for handle in (polite, deaf):
        assert await first_line(handle) == b"go"
    await runner.pause(polite.id)
    assert (await GracefulShutdown(10).shutdown(polite)).code == 5
    assert await first_line(polite) == b"bye"
    assert (await GracefulShutdown(0.2).shutdown(deaf)).signal == 9
    assert {polite.status(), deaf.status()} == {AgentStatus.TERMINATED}


async def test_an_interrupt_comes_first_where_the_backend_asks_for_it(runner):
    """Otherwise a program that only ends cleanly when interrupted would leave its tools running."""
    handle = await runner.spawn(
        shell("trap 'exit 6' INT; trap 'exit 7' TERM; echo go; while :; do sleep 0.01; done")
    )
    assert await first_line(handle) == b"go"
    handle.interrupt_first = True
    assert (await GracefulShutdown(10).shutdown(handle)).code == 6


async def test_agents_are_listed_and_found(runner):
    """Otherwise nobody could look after agents that somebody else started."""
    # One process that has begun: what is forked just as all of them are interrupted would go on.
    waits = AgentConfig(name="tester", model_backend="python", task="print('up', flush=True); input()")
    handle = await runner.spawn(waits)
    assert await anext(aiter(handle)) == b"up"
    assert [info.id for info in await runner.list_agents()] == [handle.id]
    assert (await runner.get_agent(handle.id)).status is AgentStatus.RUNNING
    assert await runner.get_agent("nobody") is None
    for call in (runner.kill, runner.pause, runner.resume):
        with pytest.raises(NotFound, match="nobody"):
            await call("nobody")
    await runner.signal(handle.id, AgentSignal.INTERRUPT)
    await handle.wait()
    assert (await runner.get_agent(handle.id)).exit == handle.exit
    await runner.kill(handle.id)
    with pytest.raises(ExecutionError, match="ended"):
        await runner.pause(handle.id)


async def test_as_many_agents_as_may(tmp_path):
    """Otherwise a burst of tasks would exhaust the machine, or half of a batch would be left running."""
    word = token()
    async with make(tmp_path, max_concurrent_agents=2) as runner:
        with pytest.raises(SpawnFailed, match="at most 2") as failed:
            await runner.spawn_many([shell(f"sleep {word}")] * 3, batch_size=2)
        assert failed.value.limit == "max_concurrent_agents"
        assert living(word) == []
        handles = await runner.spawn_many([shell("cat")] * 2)
        await handles[0].kill()
        assert (await (await runner.spawn(shell("exit 0"))).wait()).success


@pytest.mark.parametrize(
    ("config", "error", "facts"),
    [
        (AgentConfig("a", "no-such-program-cli", "t"), SpawnFailed, {"program": "no-such-program-cli"}),
        (AgentConfig("a", "openai", "t"), ProviderError, {"provider": "openai"}),
        (AgentConfig("a", "ollama", "t"), ProviderError, {"provider": "ollama"}),
        (AgentConfig("a", "scripted", "t"), ProviderError, {"provider": "scripted"}),
    ],
    ids=lambda value: getattr(value, "model_backend", ""),
)
async def test_what_can_not_be_started(runner, config, error, facts):
    """Otherwise somebody would have to guess what is missing."""
    with pytest.raises(error) as raised:
        await runner.spawn(config)
    for name, value in facts.items():
        assert getattr(raised.value, name) == value
    assert isinstance(raised.value, AgentError)
    assert isinstance(raised.value, ShiftworkError)
    if error is SpawnFailed:
        assert "/usr/bin" in raised.value.looked_in
        assert "Install it" in raised.value.hint
    assert await runner.list_agents() == []


@pytest.mark.parametrize("name", ["openai", "ollama"])
async def test_an_address_that_is_none_is_refused_before_anything_is_asked(name):
    """Otherwise each start would ask it again and again, as if a server were away."""
    config = ProcessRunnerConfig(settings={name: {"model": "m", "base_url": "ftp://x"}})
    async with LocalProcessRunner(config) as runner:
        with pytest.raises(ProviderError, match="'ftp://x' is no address"):
            await runner.spawn(AgentConfig("a", name, "t"))


async def test_a_program_that_can_not_be_executed(tmp_path):
    """Otherwise a file that is no program would look like an agent that failed."""
    (tmp_path / "broken").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "broken").chmod(0o755)
    config = ProcessRunnerConfig(working_dir=tmp_path, commands={"x": ["./broken", "{task}"]})
    async with LocalProcessRunner(config) as runner:
        try:
            code = (await (await runner.spawn(AgentConfig("a", "x", "t"))).wait()).code
        except SpawnFailed:
            code = 126
        assert code in (126, 127)


async def test_a_missing_folder_is_named(tmp_path):
    """Otherwise the wrong thing would be looked for."""
    with pytest.raises(SpawnFailed, match="absent"):
        await make(tmp_path / "absent").spawn(shell("true"))


@pytest.mark.parametrize(
    ("make_it", "field"),
    [
        (lambda: shell(" "), "task"),
        (lambda: AgentConfig("", "sh", "t"), "name"),
        (lambda: shell("a\0b"), "task"),
        (lambda: shell("t", environment={"A=B": "c"}), "environment"),
        (lambda: ProcessRunnerConfig(max_output_size=0), "max_output_size"),
        (lambda: ProcessRunnerConfig(output="lose"), "output"),
        (lambda: ProcessRunnerConfig(commands={"a": "not a list"}), "commands"),
        (lambda: GracefulShutdown(-1), "timeout"),
    ],
)
def test_wrong_descriptions_are_refused(make_it, field):
    """Otherwise a mistake would show as a strange failure of a process."""
    with pytest.raises(InvalidContext) as raised:
        make_it()
    assert raised.value.field == field


async def test_the_prompt_is_made_of_all_that_is_told(runner):
    """Otherwise an agent would not know its context, or its task would be changed on the way."""
    task = "{task} $HOME 'quoted'"
    for more, expected in (
        ({}, task),
        ({"context": "C", "system_prompt": "S"}, f"S\n\n{task}\n\nC"),
    ):
        handle = await runner.spawn(AgentConfig("a", "echo", task, **more))
        await handle.wait()
        assert (await handle.read_stdout()).decode() == expected + "\n"


async def test_any_program_on_the_path_can_be_an_agent():
    """Otherwise a program without a backend would need a configuration, or its `-cli` name would not work."""
    async with LocalProcessRunner() as runner:
        for name in ("echo", "echo-cli"):
            handle = await runner.spawn(AgentConfig("a", name, "hello"))
            assert (await handle.wait()).success
            assert await handle.read_stdout() == b"hello\n"
            assert handle.status() is AgentStatus.COMPLETED


async def test_the_environment_is_what_was_given(tmp_path):
    """Otherwise secrets of ours would reach every agent."""
    assert "PYTEST_CURRENT_TEST" in os.environ
    async with make(tmp_path) as runner:
        handle = await runner.spawn(shell("env", environment={"GIVEN": "yes"}))
        await handle.wait()
        lines = (await handle.read_stdout()).splitlines()
    assert b"GIVEN=yes" in lines
    assert not [line for line in lines if line.startswith(b"PYTEST_CURRENT_TEST")]


CASSETTE = """
plan: {features: [{name: f, verification_steps: [{description: d, command: "true"}]}]}
sessions: {f: [[]]}
"""


async def test_events_of_a_backend(tmp_path):
    """Otherwise what an agent says would have to be parsed by everyone who listens."""
    code = textwrap.dedent("""
        import json
        print("noise")
        for event in ({"kind": "started"}, {"kind": "text", "text": "hi"}):
            print(json.dumps(event))
    """)
    async with make(tmp_path) as runner:
        handle = await runner.spawn(AgentConfig("a", "python", code))
        events = [event async for event in handle.events()]
        assert events[0].text == "noise"
        assert (events[-1].kind, events[-1].ok) == (AgentEventKind.FINISHED, True)
        assert handle.status() is AgentStatus.COMPLETED
        failing = await runner.spawn(shell("echo x; exit 4"))
        *_, last = [event async for event in failing.events()]
        assert not last.ok


async def test_the_word_of_an_agent_counts(tmp_path):
    """Otherwise an agent that says that it failed, and exits with 0, would count as completed."""
    cassette = tmp_path / "cassette.yml"
    cassette.write_text(CASSETTE)
    settings = {"scripted": {"cassette": str(cassette)}}
    async with make(tmp_path, settings=settings) as runner:
        handle = await runner.spawn(AgentConfig("a", "scripted", "play"))
        kinds = [event.kind async for event in handle.events()]
        said = AgentEventKind.FINISHED in kinds
        assert handle.status() in (AgentStatus.COMPLETED if said else AgentStatus.FAILED, AgentStatus.FAILED)
        with pytest.raises(CommunicationError):
            await handle.write_stdin(b"x")


async def test_the_wall_time_ends_an_agent_and_is_named(tmp_path):
    """Otherwise an agent that hangs would live for ever, or nobody would know why it ended."""
    async with make(tmp_path, wall_time=0.3) as runner:
        handle = await runner.spawn(shell("echo go; sleep 1000"))
        await handle.wait(100)
        with pytest.raises(Timeout, match="wall_time") as raised:
            handle.raise_for_status()
        assert raised.value.limit == "wall_time"


async def test_a_limit_ends_an_agent_and_is_named(tmp_path):
    """Otherwise an agent that eats the machine would go on, or nobody would know why it ended."""
    async with make(tmp_path, limits=Limits(processes=5)) as runner:
        handle = await runner.spawn(shell("for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; wait"))
        await handle.wait(100)
        assert isinstance(handle.error, ExecutionError)
        assert handle.error.limit == "processes"


async def test_waiting_may_take_too_long(runner):
    """Otherwise a caller that can wait only so long would have to end the agent, or hang."""
    handle = await runner.spawn(shell("cat"))
    with pytest.raises(Timeout, match="still runs"):
        await handle.wait(0.05)
    handle.close_stdin()
    assert (await handle.wait()).success


async def test_a_stall_is_noticed(tmp_path):
    """Otherwise an agent that hangs could not be told from one that thinks."""
    async with make(tmp_path, stall_timeout=0.4) as runner:
        handle = await runner.spawn(shell("echo go; sleep 1000"))
        await until(lambda: handle.stalled_since is not None)
        assert (await runner.list_agents())[0].stalled_since == handle.stalled_since
        assert handle.status() is AgentStatus.RUNNING


async def test_what_an_agent_uses_is_known(tmp_path):
    """Otherwise nobody could tell which agent keeps the machine busy."""
    code = "x = b'x' * 60_000_000\nn = 0\nwhile n < 3_000_000: n += 1\nprint('done', flush=True)\ninput()"
    async with make(tmp_path) as runner:
        handle = await runner.spawn(AgentConfig("busy", "python", code))
        assert await first_line(handle) == b"done"
        metrics = handle.metrics()
        assert metrics.memory_mb >= 50
        assert metrics.cpu_usage > 1
        assert metrics.messages_received == 1
        await handle.write_stdin(b"\n")
        await handle.wait()
        assert handle.usage().cpu_seconds > 0.02
        assert handle.usage().peak_memory >= 50_000_000
        assert handle.metrics().messages_sent == 1


async def test_health_checks_notice_an_end_that_was_missed(tmp_path):
    """Otherwise the task that looks after agents might die of the first of them that ends."""
    async with make(tmp_path, health_check_interval_secs=0.05) as runner:
        handle = await runner.spawn(shell("echo go; read a"))
        await asyncio.sleep(0.3)
        assert handle.status() is AgentStatus.RUNNING
        await handle.write_stdin(b"\n")
        assert (await handle.wait(100)).success


async def test_what_speaks_at_once_is_spawned_before_it_is_ready(tmp_path, caplog):
    """Otherwise who reads the log of a busy machine would see what an agent says before there is one."""
    with caplog.at_level(logging.INFO, logger="shiftwork.runner"):
        async with make(tmp_path) as runner:

            async def speak() -> None:
                handle = await runner.spawn(shell("echo a"))
                await handle.wait()

            for _ in range(5):
                await asyncio.gather(*(speak() for _ in range(8)))
    events = defaultdict(list)
    for record in caplog.records:
        line = json.loads(record.message)
        events[line["agent"]].append(line["event"])
    assert list(events.values()) == [["spawned", "ready", "exited"]] * 40


async def test_the_life_of_an_agent_is_logged_and_counted(tmp_path, caplog):
    """Otherwise operators would see nothing, or secrets and tasks would stand in the log."""
    sink = PrometheusText()
    with caplog.at_level(logging.INFO, logger="shiftwork.runner"):
        async with make(tmp_path, sink) as runner:
            handle = await runner.spawn(shell("echo my-task; read a", environment={"KEY": "my-secret"}))
            await first_line(handle)
            await runner.pause(handle.id)
            await runner.resume(handle.id)
            await runner.signal(handle.id, AgentSignal.TERMINATE)
            await handle.wait()
    lines = [json.loads(record.message) for record in caplog.records]
    assert [line["event"] for line in lines] == [
        *("spawned", "ready", "paused", "resumed", "signalled", "exited")
    ]
    assert {line["agent"] for line in lines} == {handle.id}
    assert "my-secret" not in caplog.text
    assert "my-task" not in caplog.text
    text = sink.render()
    assert 'shiftwork_agents_spawned_total{backend="sh"} 1\n' in text
    assert 'shiftwork_agents_ended_total{status="terminated"} 1\n' in text
    assert "shiftwork_agents_running 0\n" in text
    assert 'shiftwork_agent_seconds_bucket{le="+Inf"} 1\n' in text
    assert "# TYPE shiftwork_agent_seconds histogram\n" in text


def test_labels_are_escaped_and_figures_exact():
    """Otherwise one strange name would make all figures unreadable, or large counters would be rounded."""
    sink = PrometheusText()
    sink.count("n", 123_456_789_012, label='a"b\\c\nd')
    sink.gauge("g", 0.25)
    assert sink.render() == (
        '# TYPE g gauge\ng 0.25\n# TYPE n counter\nn{label="a\\"b\\\\c\\nd"} 123456789012\n'
    )


async def test_leaving_the_runner_ends_its_agents(tmp_path):
    """Otherwise a program that fails would leave its agents behind."""
    word = token()

    async def fail():
        async with make(tmp_path) as runner:
            await first_line(await runner.spawn(shell(f"echo go; sleep {word}")))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert living(word) == []


def test_every_public_name_is_there():
    """Otherwise the source document's names would not work."""
    assert {"LocalProcessRunner", "AgentRunner", "LocalAgentHandle", "AgentPool", "IoError"} <= set(dir(api))
    for name in dir(api):
        assert getattr(api, name).__doc__
    assert Path(api.__file__).name == "__init__.py"
    with pytest.raises(AttributeError):
        _ = api.nothing
