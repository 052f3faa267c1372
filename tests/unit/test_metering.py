"""A project's budget while several of its sessions spend from it at once, in one worker and in several."""

import asyncio
import json
import signal
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest

from activities.ending import AttemptRows
from activities.metering import Meter
from activities.orphans import WorkerRecord
from activities.services import Services
from activities.stop import Stop
from shiftwork.contracts.prices import Prices
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.contracts.session import InterruptionReason, Role
from shiftwork.errors import LeaseLost
from shiftwork.gateway import Bounds, Call, Gateway, Policy, Tokens, Upstream, Wire
from shiftwork.sandbox.choose import cheap_sandbox
from shiftwork.secrets import LazyRedactor
from shiftwork.settings import Settings
from shiftwork.store.migrate import migrate
from shiftwork.store.store import Store
from tests.llm.script import Reply, Usage
from tests.llm.server import LlmServer
from tests.unit.gateway_support import Run, request, send, until
from tests.unit.pace_support import paces

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
DOLLAR = Call(kind="messages", model="m", tokens=Tokens(input=1_000_000))
"""A call that costs one dollar."""


@pytest.fixture
async def worker(database_url, tmp_path):
    """Makes the services of one more worker."""
    await migrate(database_url)
    settings = replace(Settings(state=tmp_path), database_url=database_url)
    stores = []

    def make():
        stores.append(Store(database_url))
        record = WorkerRecord(tmp_path)
        return Services(settings, stores[-1], cheap_sandbox(), {}, record, Gateway(), LazyRedactor({}))

    yield make
    for store in stores:
        await store.close()


async def a_project(services, budget_usd):
    options = ProjectOptions(agent=AgentOptions(prices=Prices(input=1, output=1)))
    async with services.store.transaction() as tx:
        return await tx.projects.create("p", options=options, budget_usd=budget_usd)


@asynccontextmanager
async def session(services, project, number):
    """A session of the project with its meter, and what would stop its agent."""
    async with services.store.transaction() as tx:
        row = await tx.sessions.begin(project.id, number, None, Role.SESSION, datetime.now(UTC))
        attempt = await tx.attempts.begin(row.id, "host", 60)
    stop = Stop()
    rows = AttemptRows(project, None, row, attempt, project.options.agent)
    async with Meter(services, rows, stop) as meter:
        yield meter, stop


async def spent(services, project):
    async with services.store.transaction() as tx:
        return await tx.usage.spent(project.id)


@asynccontextmanager
async def locked(database_url):
    """Nothing that anybody spends can be written meanwhile; gives the connection that keeps it so."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE usage IN EXCLUSIVE MODE")
            yield connection
    finally:
        await connection.close()


async def test_each_session_of_a_worker_sees_at_once_what_the_others_spend(worker):
    """If it failed, parallel sessions would each spend what is left of a budget."""
    services = worker()
    project = await a_project(services, 2)
    async with session(services, project, 1) as (one, _), session(services, project, 2) as (two, stop):
        one.count(DOLLAR)
        assert (one.over(), two.over()) == (None, None)
        two.count(DOLLAR)
        # Nothing could be written in between: no await was there.
        assert one.over() == two.over() == "The project's budget of $2.00 is spent."
        two.count(DOLLAR)
        await until(stop.is_set)
    assert stop.reason is InterruptionReason.BUDGET
    assert await spent(services, project) == 3


async def test_what_another_worker_spends_is_seen_without_spending_anything(worker):
    """If it failed, a session that pauses to compile would later spend what others had spent meanwhile."""
    here, there = worker(), worker()
    project = await a_project(here, 1)
    async with session(here, project, 1) as (one, stop), session(there, project, 2) as (two, _):
        two.count(DOLLAR)
        await until(one.over)
        assert not stop.is_set()  # It may end its work; only questions are refused.
        async with here.store.transaction() as tx:
            await tx.projects.save(project.id, 1, budget_usd=5)
        await until(lambda: not one.over())


async def test_looks_at_the_budget_ask_no_database(worker, database_url):
    """If it failed, each question of each agent would wait for the database, or fail while it is away."""
    services = worker()
    project = await a_project(services, 2)
    async with session(services, project, 1) as (meter, _):
        services.store.move(NOWHERE)
        await services.store.close()
        assert paces(lambda: [meter.over() for _ in range(1000)], time.perf_counter) < 20
        assert meter.over() is None
        meter.count(DOLLAR)
        meter.count(DOLLAR)
        assert meter.over()
        await asyncio.sleep(0.1)
        services.store.move(database_url)
    assert await spent(services, project) == 2


async def test_what_is_never_written_is_not_held_against_the_budget(worker):
    """If it failed, a superseded attempt would go on to use up its project's budget in this worker."""
    services = worker()
    project = await a_project(services, 1)

    async def superseded(kept):
        async with session(services, project, 2) as (meter, _):
            async with services.store.transaction() as tx:
                row = await tx.sessions.get(project.id, 2)
                await tx.attempts.begin(row.id, "elsewhere", 60)
            meter.count(DOLLAR)
            assert kept.over()

    async with session(services, project, 1) as (kept, _):
        with pytest.raises(LeaseLost):
            await superseded(kept)
        assert kept.over() is None
    assert await spent(services, project) == 0


async def test_parallel_questions_go_beyond_a_budget_by_those_in_flight_alone(worker):
    """If it failed, a budget would be a figure in a report, not a limit."""
    services = worker()
    project = await a_project(services, 3)
    answer = Reply("x", usage=Usage(input=1_000_000, output=0))
    statuses = []

    async def ask(run):
        statuses.extend([(await send(run, request(run))).status for _ in range(6)])

    async with (
        LlmServer(lambda _: answer) as model,
        services.gateway,
        session(services, project, 1) as (one, _),
        session(services, project, 2) as (two, _),
    ):
        upstream = Upstream(Wire.ANTHROPIC, model.url)
        policies = [Policy(upstream=upstream, check_budget=m.over, on_call=m.count) for m in (one, two)]
        async with services.gateway.open(policies[0]) as a, services.gateway.open(policies[1]) as b:
            await asyncio.gather(ask(Run(a, model, [])), ask(Run(b, model, [])))
    # When the third was counted, at most one other question was on its way.
    assert statuses.count(200) in {3, 4}
    assert statuses.count(402) == 12 - statuses.count(200)
    assert await spent(services, project) == statuses.count(200)


async def test_a_guess_is_written_as_one(worker):
    """If it failed, nobody could tell the provider's figures from guesses."""
    services = worker()
    project = await a_project(services, None)
    async with session(services, project, 1) as (meter, _):
        meter.count(DOLLAR)
        meter.count(replace(DOLLAR, estimated=True))
    async with services.store.transaction() as tx:
        [guessed] = (await tx.usage.estimates(project.id)).values()
    assert (guessed.calls, guessed.tokens, guessed.cost_usd) == (1, 1_000_000, 1.0)
    assert meter.spent.cost_usd == 2


async def test_an_answer_by_another_name_costs_what_was_asked_for(worker):
    """If it failed, a proxy's name for its model would make all work free, and no budget would hold."""
    services = worker()
    agent = AgentOptions(backend="langchain", settings={"model": "openai:gpt-5"})
    async with services.store.transaction() as tx:
        project = await tx.projects.create("p", options=ProjectOptions(agent=agent), budget_usd=1.0)
    async with session(services, project, 1) as (meter, stop):
        meter.count(replace(DOLLAR, model="proxy-default", requested="gpt-5-mini"))
        first = meter.spent.cost_usd
        meter.count(replace(DOLLAR, model="proxy-default"))
        await until(lambda: stop.reason is InterruptionReason.BUDGET)
    assert 0 < first < meter.spent.cost_usd - first


async def test_another_model_beside_the_own_is_paid_for_too(worker):
    """If it failed, an agent's advisor would work for nothing in all figures."""
    services = worker()
    project = await a_project(services, 10.0)
    async with session(services, project, 1) as (meter, _):
        meter.count(replace(DOLLAR, beside=(("big", Tokens(output=2_000_000)),)))

    assert (meter.spent.input_tokens, meter.spent.output_tokens) == (1_000_000, 2_000_000)
    assert meter.spent.cost_usd == pytest.approx(3.0)


async def test_a_model_of_ones_own_machine_spends_no_budget(worker):
    """If it failed, a project would pause for money that nobody asks, as a sold model has the same name."""
    services = worker()
    agent = AgentOptions(backend="langchain", settings={"model": "ollama:deepseek-r1:8b"})
    async with services.store.transaction() as tx:
        project = await tx.projects.create("p", options=ProjectOptions(agent=agent), budget_usd=0.0001)
    answer = Call(
        kind="chat", model="deepseek-r1:8b", requested="deepseek-r1:8b", tokens=Tokens(input=1_000_000)
    )
    async with session(services, project, 1) as (meter, stop):
        meter.count(answer)
        assert meter.over() is None
    assert not stop.is_set()
    assert await spent(services, project) == 0


def answers(_):
    return Reply("x", usage=Usage(input=1_000_000, output=0))


def metered(model, meter, **bounds):
    """What goes through the gateway of a session whose cost is written first."""
    return Policy(
        upstream=Upstream(Wire.ANTHROPIC, model.url),
        check_budget=meter.over,
        on_call=meter.count,
        settle=meter.settle,
        bounds=Bounds(**bounds),
    )


async def test_an_answer_ends_once_its_cost_is_in_the_database(worker, database_url):
    """If it failed, a worker that is killed would take what its agents spent with it."""
    services = worker()
    project = await a_project(services, 3)
    async with (
        LlmServer(answers) as model,
        services.gateway,
        session(services, project, 1) as (meter, _),
        services.gateway.open(metered(model, meter)) as opened,
    ):
        run = Run(opened, model, [])
        async with locked(database_url):
            answer = asyncio.ensure_future(send(run, request(run, stream=True)))
            await until(lambda: meter.spent.input_tokens)
            await asyncio.sleep(0.3)
            assert not answer.done()
        assert b"message_stop" in (await answer).body
        assert await spent(services, project) == 1


async def test_a_worker_that_is_killed_as_its_agent_has_an_answer_has_counted_it(
    worker, database_url, tmp_path
):
    """If it failed, each crash would make a project's sums a little too small, and its budget too large."""
    services = worker()
    project = await a_project(services, None)
    async with LlmServer(answers) as model:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", str(Path(__file__).with_name("metered_worker.py"))),
            json.dumps([database_url, model.url, project.id, str(tmp_path)]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            port, token = json.loads(await asyncio.wait_for(child.stdout.readline(), 100))
            opened = SimpleNamespace(url=f"http://127.0.0.1:{port}", token=token)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request(Run(opened, model, []), stream=True))
            async with asyncio.timeout(100):
                await reader.readuntil(b"message_stop")
        finally:
            child.send_signal(signal.SIGKILL)
            await child.wait()
        writer.close()
    assert await spent(services, project) == 1


async def test_an_answer_is_there_although_the_database_is_not(worker, database_url):
    """If it failed, an outage would have every answer paid for twice."""
    services = worker()
    project = await a_project(services, 2)
    async with (
        LlmServer(answers) as model,
        services.gateway,
        session(services, project, 1) as (meter, _),
        services.gateway.open(metered(model, meter, settle=0.5)) as opened,
    ):
        run = Run(opened, model, [])
        services.store.move(NOWHERE)
        await services.store.close()
        began = time.monotonic()
        statuses = [(await send(run, request(run))).status for _ in range(3)]
        took = time.monotonic() - began
        services.store.move(database_url)
    assert statuses == [200, 200, 402]
    assert took >= 1.0
    assert await spent(services, project) == 2


async def test_what_comes_together_is_written_together(worker, database_url):
    """If it failed, each of many answers would wait for the transactions of all others."""
    services = worker()
    project = await a_project(services, None)
    async with session(services, project, 1) as (meter, _):
        async with locked(database_url):
            meter.count(DOLLAR)
            await asyncio.sleep(0.1)
            for _ in range(20):
                meter.count(DOLLAR)
        await meter.settle()
        assert await spent(services, project) == 21
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM usage") == 2
    finally:
        await connection.close()


async def test_nobody_waits_for_what_is_never_written(worker):
    """If it failed, the agent of a superseded attempt would stand still at each answer."""
    services = worker()
    project = await a_project(services, 1)

    async def superseded():
        async with session(services, project, 1) as (meter, _):
            async with services.store.transaction() as tx:
                row = await tx.sessions.get(project.id, 1)
                await tx.attempts.begin(row.id, "elsewhere", 60)
            for _ in range(2):
                meter.count(DOLLAR)
                async with asyncio.timeout(100):
                    await meter.settle()

    with pytest.raises(LeaseLost):
        await superseded()
