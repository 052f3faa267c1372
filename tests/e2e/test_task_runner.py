"""Running what is pending: by Python and by the command line, with real workers."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from itertools import pairwise

import pytest
from sqlalchemy import text

from client.task_draining import Draining
from client.task_functions import (
    TaskConnection,
    create_agent_task,
    get_agent_task_by_id,
    process_running_task,
    run_loop,
    run_once,
    update_agent_task_state,
)
from client.task_runner import TaskRunner, is_runner_enabled
from shiftwork.contracts.agent import AgentConfiguration
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.errors import Conflict, InvalidInput
from shiftwork.store.agents import AgentDefinition
from shiftwork.store.task_rows import NewTask
from tests.e2e.support import quick_environment

KEYS = {"enabled", "tasks_started", "tasks_completed", "tasks_failed", "tasks_skipped", "timestamp"}
ENABLED = "SHIFTWORK_AGENT_RUNNER_ENABLED"


@pytest.fixture
async def runner(lab):
    """A runner that may run, of a stack in which nothing is pending."""
    found = TaskRunner(lab.shiftwork, enabled=True)
    await found.run_once()
    return found


@pytest.fixture
def conn(stack, shared_worker, monkeypatch):
    """A connection of a program without an event loop, which may run what is pending."""
    monkeypatch.setenv(ENABLED, "true")
    monkeypatch.setenv("SHIFTWORK_STATE", str(stack.state))
    with TaskConnection() as connection:
        run_once(connection)
        yield connection


def counts(summary) -> tuple[int, ...]:
    assert set(summary) == KEYS
    return tuple(summary[f"tasks_{name}"] for name in ("started", "completed", "failed", "skipped"))


@pytest.mark.parametrize(
    ("value", "enabled"),
    [
        ("true", True),
        ("TRUE", True),
        (" true ", True),
        ("", False),
        ("false", False),
        ("1", False),
        (None, False),
    ],
)
def test_is_runner_enabled(value, enabled):
    """If it failed, tasks would run where nobody allowed it, or not where somebody did."""
    assert is_runner_enabled({} if value is None else {ENABLED: value}) is enabled


async def test_run_once_disabled(lab, caplog):
    """If it failed, a runner would run tasks that nobody allowed it to."""
    task = await lab.shiftwork.create_task("noop", "not yet")
    caplog.set_level(logging.WARNING)
    summary = await TaskRunner(lab.shiftwork).run_once()
    assert (summary["enabled"], counts(summary)) == (False, (0, 0, 0, 0))
    assert "Agent runner is disabled" in caplog.text
    assert (await lab.shiftwork.task(task.id)).status is TaskStatus.CREATED


async def test_run_once_full_cycle(lab, runner):
    """If it failed, what is pending would stay so, or nobody would know what became of it."""
    tasks = [await lab.shiftwork.create_task("noop", f"task {n}", user_id="demo") for n in range(3)]
    summary = await runner.run_once()
    assert (summary["enabled"], counts(summary)) == (True, (3, 3, 0, 0))
    for task in tasks:
        ended = await lab.shiftwork.task(task.id)
        assert (ended.status, ended.state, ended.result) == (
            TaskStatus.COMPLETED,
            "completed",
            task.instruction,
        )
        assert {"auto_started_at", "completed_at"} <= set(ended.trace)
    assert counts(await runner.run_once()) == (0, 0, 0, 0)


async def test_run_once_error_handling(lab, runner, caplog):
    """If it failed, one task that fails would keep the others from being run."""
    bad = await lab.shiftwork.create_task("noop", "bad", parameters={"fail": "It can't be."})
    unknown = await lab.shiftwork.create_task("minimal", "of nobody")
    good = await lab.shiftwork.create_task("noop", "good")
    assert counts(await runner.run_once()) == (3, 1, 2, 0)
    assert (await lab.shiftwork.task(bad.id)).error == "It can't be."
    assert "known are: agent, github, llm, noop" in (await lab.shiftwork.task(unknown.id)).error
    assert (await lab.shiftwork.task(good.id)).status is TaskStatus.COMPLETED
    assert f"Task {bad.id} failed: It can't be." in caplog.text


async def not_startable(lab, request) -> tuple[int, int]:
    """Two tasks that can't be started: Temporal refuses the one, of the other we can't read what it is."""
    async with lab.shiftwork.store.transaction() as tx:
        refused = await tx.tasks.create(NewTask(provider="p" * 5_000))
    definition = AgentDefinition(kind="python", code="print('ran')", config=AgentConfiguration(timeout=20))
    agent = await lab.shiftwork.register_agent(request.node.name, definition)
    unread = await lab.shiftwork.create_task(agent=agent.id)
    await configure(lab, agent.id, '{"timeout": "as long as it takes"}')
    return refused.id, unread.id


async def configure(lab, agent_id, config) -> None:
    """Write an agent's configuration as a version might that is not ours."""
    async with lab.shiftwork.store.transaction() as tx:
        written = text("UPDATE agent_versions SET config = CAST(:config AS jsonb) WHERE agent_id = :id")
        await tx.connection.execute(written, {"config": config, "id": agent_id})


async def test_what_can_not_be_started_ends_no_loop(lab, runner, request, caplog):
    """If it failed, one odd task would end the runner, and with it every task to come."""
    first = await lab.shiftwork.create_task("noop", "first")
    assert counts(await runner.run_once()) == (1, 1, 0, 0)  # by now the worker has read every agent
    assert (await lab.shiftwork.task(first.id)).status is TaskStatus.COMPLETED
    refused, unread = await not_startable(lab, request)
    try:
        good = await lab.shiftwork.create_task("noop", "good")
        stop = asyncio.Event()
        loop = asyncio.create_task(runner.run_loop(0.1, stop))
        assert (await asyncio.wait_for(lab.shiftwork.wait_task(good.id), 150)).status is TaskStatus.COMPLETED
        later = await lab.shiftwork.create_task("noop", "later")
        assert (await asyncio.wait_for(lab.shiftwork.wait_task(later.id), 150)).status is TaskStatus.COMPLETED
        assert not loop.done()
        stop.set()
        assert (await loop)["tasks_started"] == 2
        for task_id, why in ((refused, "Temporal refused"), (unread, "What is stored of agent ")):
            lines = [
                line for line in caplog.messages if f"Task {task_id} could not be started: {why}" in line
            ]
            assert lines
            assert "\n" not in lines[0]
            assert (await lab.shiftwork.task(task_id)).status is TaskStatus.CREATED
        caplog.clear()
        last = await lab.shiftwork.create_task("noop", "last")
        assert counts(await runner.run_once()) == (1, 1, 0, 2)
        assert (await lab.shiftwork.task(last.id)).status is TaskStatus.COMPLETED
        assert caplog.messages[-1] == f"Could not be started, and stay as they are: tasks {refused}, {unread}"
    finally:
        await configure(lab, (await lab.shiftwork.task(unread)).agent_id, "{}")
        for task_id in (refused, unread):
            await lab.shiftwork.cancel_task(task_id)


async def test_runs_of_one_agent_follow_each_other(lab, runner, request):
    """If it failed, an agent's tasks would be skipped because the agent has one run at a time."""
    definition = AgentDefinition(
        kind="python", code="print(parameters['n'])", config=AgentConfiguration(timeout=20)
    )
    agent = await lab.shiftwork.register_agent(request.node.name, definition)
    tasks = [await lab.shiftwork.create_task(agent=agent.id, parameters={"n": n}) for n in range(3)]
    assert counts(await runner.run_once()) == (3, 3, 0, 0)
    ended = [await lab.shiftwork.task(task.id) for task in tasks]
    assert [task.result for task in ended] == ["0\n", "1\n", "2\n"]
    assert all(first.ended_at <= second.started_at for first, second in pairwise(ended))


async def test_what_was_moved_by_hand_is_processed(lab, runner, conn_free):
    """If it failed, a task that somebody set running would stay so for ever."""
    task = await lab.shiftwork.create_task("noop", "by hand")
    await conn_free(task.id)
    assert counts(await runner.run_once()) == (1, 1, 0, 0)
    ended = await lab.shiftwork.task(task.id)
    assert (ended.status, ended.attempt) == (TaskStatus.COMPLETED, 1)


@pytest.fixture
def conn_free(lab):
    """Moves a task to `running` by hand."""
    from client.task_runner import move_task

    async def move(task_id):
        await move_task(lab.shiftwork, task_id, "running", {"who": "a person"})

    return move


async def test_a_task_that_another_runner_took_is_skipped(lab, runner, caplog):
    """If it failed, a runner that is late would end, or run the task once more."""
    task = await lab.shiftwork.create_task("noop", "taken", parameters={"seconds": 0.5})
    waiting = await runner._waiting()
    await lab.shiftwork.start_task(task.id)
    await lab.shiftwork.wait_task(task.id)
    draining = Draining(lab.shiftwork, asyncio.Event())
    draining.add(waiting)
    await draining.ended()
    assert counts(draining.summary.facts()) == (0, 0, 0, 1)
    assert "Invalid transition" in caplog.text


async def test_two_runners_run_each_task_once(lab, runner):
    """If it failed, what acts on the world would act twice wherever two machines drain the same tasks."""
    tasks = [await lab.shiftwork.create_task("noop", f"n{n}") for n in range(12)]
    other = TaskRunner(lab.shiftwork, enabled=True)
    summaries = await asyncio.gather(runner.run_once(), other.run_once())
    ended = [await lab.shiftwork.task(task.id) for task in tasks]
    assert {(task.status, task.attempt) for task in ended} == {(TaskStatus.COMPLETED, 1)}
    assert [sum(summary[f"tasks_{name}"] for summary in summaries) for name in ("started", "completed")] == [
        12,
        12,
    ]


async def test_of_many_that_start_a_task_one_does(lab, runner):
    """If it failed, two runners would both count, and report, a task that one of them had run."""
    tasks = [await lab.shiftwork.create_task("noop", f"n{n}") for n in range(4)]
    claims = [lab.shiftwork.claim_task(task.id) for task in tasks for _ in range(3)]
    found = await asyncio.gather(*claims, return_exceptions=True)
    assert all(isinstance(each, tuple | Conflict) for each in found), found
    assert sorted(each[0].id for each in found if isinstance(each, tuple) and each[1]) == [
        t.id for t in tasks
    ]
    for task in tasks:
        assert (await lab.shiftwork.wait_task(task.id)).attempt == 1


async def test_two_commands_run_each_task_once(lab, runner, stack):
    """If it failed, two machines that drain the same tasks would both report to have run them."""
    tasks = [await lab.shiftwork.create_task("noop", f"n{n}", parameters={"seconds": 0.3}) for n in range(16)]
    command = (stack.state, "--once", "--json")
    done = await asyncio.gather(*(asyncio.to_thread(typed, *command, **{ENABLED: "true"}) for _ in range(2)))
    summaries = [counts(json.loads(each.stdout)) for each in done]
    assert [sum(column) for column in zip(*summaries, strict=True)][:3] == [16, 16, 0], summaries
    assert {(await lab.shiftwork.task(task.id)).attempt for task in tasks} == {1}


async def test_a_loop_goes_on_until_it_is_stopped(lab, runner):
    """If it failed, what comes later would wait for ever, or the loop could not be ended."""
    stop = asyncio.Event()
    loop = asyncio.create_task(runner.run_loop(0.1, stop))
    for n in range(2):
        task = await lab.shiftwork.create_task("noop", f"n{n}", parameters={"fail": "No."} if n else {})
        await asyncio.wait_for(lab.shiftwork.wait_task(task.id), 150)
        await asyncio.sleep(0.2)
    slow = await lab.shiftwork.create_task("noop", "slow", parameters={"seconds": 12})
    async with asyncio.timeout(150):
        while (await lab.shiftwork.task(slow.id)).status is TaskStatus.CREATED:  # noqa: ASYNC110 - rows
            await asyncio.sleep(0.05)
    stop.set()
    assert counts(await loop) == (3, 1, 1, 0)
    assert (await lab.shiftwork.task(slow.id)).status is TaskStatus.RUNNING
    assert (await lab.shiftwork.wait_task(slow.id)).status is TaskStatus.COMPLETED


async def test_a_loop_takes_what_is_new_while_others_run(lab, runner, request):
    """If it failed, one slow task would keep all that comes after it waiting."""
    definition = AgentDefinition(
        kind="python",
        code="import time; time.sleep(parameters['seconds'])",
        config=AgentConfiguration(timeout=300),
    )
    agent = await lab.shiftwork.register_agent(request.node.name, definition)
    stop = asyncio.Event()
    slow = [await lab.shiftwork.create_task(agent=agent.id, parameters={"seconds": 250})]
    loop = asyncio.create_task(runner.run_loop(0.1, stop))
    try:
        async with asyncio.timeout(150):
            while (await lab.shiftwork.task(slow[0].id)).status is TaskStatus.CREATED:  # noqa: ASYNC110 - rows
                await asyncio.sleep(0.05)
        slow.append(await lab.shiftwork.create_task(agent=agent.id, parameters={"seconds": 0}))
        for n in range(2):
            quick = await lab.shiftwork.create_task("noop", f"quick {n}")
            assert (await asyncio.wait_for(lab.shiftwork.wait_task(quick.id), 150)).attempt == 1
        found = [(await lab.shiftwork.task(task.id)).status for task in slow]
        assert found == [TaskStatus.RUNNING, TaskStatus.CREATED]
        await lab.shiftwork.cancel_task(slow[0].id)
        assert (await lab.shiftwork.wait_task(slow[1].id)).status is TaskStatus.COMPLETED
    finally:
        stop.set()
        summary = await loop
    assert counts(summary)[0] == 4
    assert summary["tasks_skipped"] == 0


@pytest.mark.parametrize("interval", [0, -1, None, True, float("nan"), "5"])
async def test_an_interval_has_to_be_one(lab, interval):
    """If it failed, a loop would ask the database without a pause."""
    with pytest.raises(InvalidInput, match="interval is"):
        await TaskRunner(lab.shiftwork, enabled=True).run_loop(interval)


# By functions ---------------------------------------------------------------------------------------------


def test_a_task_is_made_run_and_found_again(conn):
    """If it failed, a program without an event loop could not use tasks."""
    task = create_agent_task(conn=conn, user_id="demo-user", provider="noop", instruction="Test task")
    assert (task.state, task.user_id, len(task.uuid)) == ("created", "demo-user", 36)
    assert counts(run_once(conn)) == (1, 1, 0, 0)
    after = get_agent_task_by_id(conn, task.id)
    assert (after.state, after) == ("completed", get_agent_task_by_id(task.uuid))
    assert {"auto_started_at", "completed_at"} <= set(after.trace)
    assert get_agent_task_by_id(987654321, conn=conn) is None
    assert get_agent_task_by_id(conn, "no such") is None


def test_process_running_task_success(conn):
    """If it failed, a program could not run one task by itself."""
    task = create_agent_task("u", "noop", "one", conn=conn)
    assert update_agent_task_state(conn, task.id, "running", {"why": "by hand"}).state == "running"
    assert process_running_task(conn, task.id, simulate_work=True) is True
    after = get_agent_task_by_id(conn, task.id)
    assert (after.state, after.trace["why"], after.result) == ("completed", "by hand", "one")


def test_process_running_task_marks_failed(conn):
    """If it failed, a task whose processing fails would run for ever."""
    task = create_agent_task("u", "noop", "one", {"fail": "Broken."}, conn=conn)
    update_agent_task_state(conn, task.uuid, "running")
    assert process_running_task(conn, task.id) is False
    after = get_agent_task_by_id(conn, task.id)
    assert (after.state, after.error) == ("failed", "Broken.")


def test_process_running_task_not_found(conn, caplog):
    """If it failed, a number that is wrong would end a program."""
    assert process_running_task(conn, 987654321) is False
    assert "not found" in caplog.text
    assert process_running_task(conn, "nope") is False
    assert "Task nope not found" in caplog.text


def test_process_running_task_wrong_state(conn, caplog):
    """If it failed, a task would be run that nobody started."""
    task = create_agent_task("u", "noop", "one", conn=conn)
    assert process_running_task(conn, task.id) is False
    assert get_agent_task_by_id(conn, task.id).state == "created"
    assert "is created, not running" in caplog.text


def test_transitions_that_can_not_be_are_refused(conn):
    """If it failed, a task that has ended could be begun again."""
    task = create_agent_task("u", "noop", "one", conn=conn)
    with pytest.raises(ValueError, match="is created, which completed can't follow"):
        update_agent_task_state(conn, task.id, "completed")
    with pytest.raises(ValueError, match="'done' is no status"):
        update_agent_task_state(conn, task.id, "done")
    with pytest.raises(ValueError, match="no task 987654321"):
        update_agent_task_state(conn, 987654321, "running")
    failed = update_agent_task_state(conn, task.id, "failed", "It was not wanted.")
    assert (failed.state, failed.error, failed.error_kind) == (
        "failed",
        "It was not wanted.",
        TaskErrorKind.FAILED,
    )
    for state in ("running", "completed", "failed", "created"):
        with pytest.raises(ValueError, match="can't follow"):
            update_agent_task_state(conn, task.id, state)
    assert get_agent_task_by_id(conn, task.id) == failed


class EndOfRound(logging.Handler):
    """Tells that a runner has done something, and logged what."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Event()

    def emit(self, record):
        if record.getMessage().startswith("Run completed"):
            self.seen.set()


@pytest.fixture
def end_of_round(caplog):
    caplog.set_level(logging.INFO, logger="shiftwork.runner")
    handler = EndOfRound()
    logging.getLogger("shiftwork.runner").addHandler(handler)
    yield handler
    logging.getLogger("shiftwork.runner").removeHandler(handler)


def test_a_loop_of_a_thread_ends_when_told(conn, end_of_round):
    """If it failed, a program could not end the loop that it started."""
    stop = threading.Event()
    task = create_agent_task("u", "noop", "one", conn=conn)
    teller = threading.Thread(target=lambda: (end_of_round.seen.wait(150), stop.set()))
    teller.start()
    assert counts(run_loop(conn, 0.2, stop)) == (1, 1, 0, 0)
    teller.join()
    assert get_agent_task_by_id(conn, task.id).state == "completed"


# By the command line --------------------------------------------------------------------------------------


def typed(state, *argv, **environ):
    return subprocess.run(
        [sys.executable, "-P", "-m", "client", "tasks", "run", *argv],
        env=quick_environment(state, **environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_needs_to_be_enabled(stack, shared_worker):
    """If it failed, a machine would run tasks by mistake."""
    done = typed(stack.state, "--once")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Agent runner is disabled: set SHIFTWORK_AGENT_RUNNER_ENABLED=true" in done.stderr


async def test_the_command_drains_what_is_pending(lab, runner, stack, tmp_path):
    """If it failed, whoever runs it from cron would have tasks that nothing runs."""
    good = await lab.shiftwork.create_task("noop", "good")
    await lab.shiftwork.create_task("noop", "bad", parameters={"fail": "No."})
    elsewhere = ("--db-path", str(stack.state))
    enabled = {ENABLED: "true", "LOG_LEVEL": "DEBUG"}
    done = await asyncio.to_thread(typed, tmp_path, "--once", "--json", *elsewhere, **enabled)
    assert (done.returncode, counts(json.loads(done.stdout))) == (0, (2, 1, 1, 0)), done.stderr
    assert f"INFO - Auto-started task {good.id}" in done.stderr
    assert f"INFO - Processing task {good.id}: good\n" in done.stderr
    assert "DEBUG" in done.stderr
    quiet = await asyncio.to_thread(typed, stack.state, "--once", **{ENABLED: "true", "LOG_LEVEL": "error"})
    assert (quiet.stdout, quiet.stderr) == ("0 tasks started: 0 completed, 0 failed, 0 skipped.\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_loop_ends_cleanly(lab, runner, stack, number):
    """If it failed, whoever stops the service would see an error, or nothing of what it did."""
    task = await lab.shiftwork.create_task("noop", "one")
    process = subprocess.Popen(  # noqa: ASYNC220 - starting takes no time, and waiting is done in a thread
        [sys.executable, "-P", "-m", "client", "tasks", "run", "--loop", "--interval", "0.2", "--json"],
        env=quick_environment(stack.state, **{ENABLED: "true"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        await asyncio.wait_for(lab.shiftwork.wait_task(task.id), 150)
        await asyncio.sleep(0.5)
        process.send_signal(number)
        out, err = await asyncio.to_thread(process.communicate, timeout=150)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, counts(json.loads(out))) == (0, (1, 1, 0, 0)), err
    assert "Run completed: {'enabled': True, 'tasks_started': 1" in err


@pytest.mark.parametrize(
    ("argv", "environ", "says"),
    [
        ((), {}, "Give one of TASK, --once and --loop"),
        (("--once", "--loop"), {}, "Give one of TASK, --once and --loop"),
        (("--once", "--interval", "3"), {}, "--interval has a meaning with --loop alone"),
        (("--once",), {ENABLED: "true", "LOG_LEVEL": "loud"}, "LOG_LEVEL is 'loud'"),
        (("--once", "--state", "/no/such"), {ENABLED: "true"}, "There is no state folder '/no/such'"),
        (("12345678",), {}, "There is no task 12345678"),
        (("twelve",), {}, "There is no task 'twelve'"),
    ],
)
def test_what_is_wrong_is_told(stack, shared_worker, argv, environ, says):
    """If it failed, a mistake would end in a traceback, or in a runner that does something else."""
    done = typed(stack.state, *argv, **environ)
    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert os.environ.get(ENABLED) is None
