"""What an agent spends on a task is in the task's row before the agent has what it paid for."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

from activities.backend_run import metered
from activities.hearing import Hearing
from activities.stop import Stop
from shiftwork.contracts.project import AgentOptions
from shiftwork.contracts.session import InterruptionReason
from shiftwork.contracts.task import TaskUsage
from shiftwork.errors import LeaseLost, StackError
from shiftwork.gateway import Call, Gateway, Tokens, Upstream, Wire
from shiftwork.secrets import LazyRedactor
from shiftwork.tasks.budget import RunBudget
from tests.llm.server import LlmServer
from tests.unit.gateway_support import USAGE, Run, request, says, send, until

CALL = Call(kind="messages", model="m", tokens=Tokens(input=3))


class Trace:
    """What is told of a task; telling may be kept from ending, or refused."""

    def __init__(self):
        self.written = []
        self.facts = {}
        self.refuse = None
        self.open = asyncio.Event()
        self.open.set()

    async def tell(self, trace):
        await self.open.wait()
        if self.refuse is not None:
            raise self.refuse
        self.written.append(TaskUsage.told_by(trace))
        self.facts.update(trace)


@asynccontextmanager
async def hearing(trace, stop=None, outbox=None):
    agent, nothing = AgentOptions(), LazyRedactor({})
    parts = {"budget": RunBudget(), "most": 100, "tell": trace.tell, "stop": stop or Stop(), "outbox": outbox}
    async with Hearing(agent, TaskUsage(), redactor=nothing, **parts) as made:
        yield made


async def test_an_answer_ends_once_what_it_cost_is_in_the_task():
    """If it failed, a worker that is killed would take with it what its task spent."""
    trace = Trace()
    trace.open.clear()
    async with LlmServer(says()) as model, Gateway() as gateway, hearing(trace) as heard:
        policy = replace(metered(heard, "task 1"), upstream=Upstream(Wire.ANTHROPIC, model.url))
        async with gateway.open(policy) as session, asyncio.timeout(100):
            run = Run(session, model, [])
            answer = asyncio.ensure_future(send(run, request(run, stream=True)))
            await until(lambda: heard.trace["usage"]["calls"])
            await asyncio.sleep(0.1)
            assert not answer.done()
            trace.open.set()
            assert b"message_stop" in (await answer).body
            assert trace.written[-1].input_tokens == USAGE.input


async def test_what_is_counted_together_is_written_once():
    """If it failed, parallel sub-agents would have a task's row written again and again, or go back in it."""
    trace = Trace()
    async with hearing(trace) as heard:
        trace.open.clear()
        heard.count(CALL)
        waiting = [asyncio.ensure_future(heard.settle())]
        await asyncio.sleep(0)
        for _ in range(9):
            heard.count(CALL)
            waiting.append(asyncio.ensure_future(heard.settle()))
        await asyncio.sleep(0)
        trace.open.set()
        await asyncio.gather(*waiting)
    assert [usage.calls for usage in trace.written] == [1, 10]


async def test_what_is_counted_is_written_when_the_database_is_back():
    """If it failed, an outage would keep what is spent out of the task for good."""
    trace = Trace()
    trace.refuse = StackError("away")
    async with hearing(trace) as heard:
        heard.count(CALL)
        waiting = asyncio.ensure_future(heard.settle())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        trace.refuse = None
        await asyncio.wait_for(waiting, 100)
    assert [usage.input_tokens for usage in trace.written] == [3]


async def test_how_far_a_program_says_it_is(tmp_path):
    """If it failed, people would not see what a program tells of its progress until it has ended."""
    trace = Trace()
    async with hearing(trace, outbox=tmp_path) as heard:
        assert "progress" not in heard.trace
        (tmp_path / "progress.json").write_text('"halfway"')
        await until(lambda: {"progress": "halfway"}.items() <= trace.facts.items())
        (tmp_path / "progress.json").write_text("no JSON")
        (tmp_path / "progress.json").write_text("0.9")
        await until(lambda: {"progress": 0.9}.items() <= trace.facts.items())
    assert heard.trace["progress"] == 0.9


async def test_an_attempt_that_lost_its_task_waits_for_nothing():
    """If it failed, an agent that is superseded would go on as if nothing were."""
    trace, stop = Trace(), Stop()
    trace.refuse = LeaseLost("another")
    async with hearing(trace, stop) as heard:
        heard.count(CALL)
        await asyncio.wait_for(heard.settle(), 1)
    assert stop.reason is InterruptionReason.INFRASTRUCTURE
