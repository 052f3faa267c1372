"""Tasks of `llm`, against the scripted model server, through a real gateway."""

import json
import re
import time

import pytest

from shiftwork.contracts.task import TaskErrorKind, TaskUsage
from shiftwork.errors import InvalidInput
from shiftwork.tasks.llm import LlmProcessor
from tests.llm.script import Drop, Fault, Reply, Usage
from tests.llm.server import LlmServer
from tests.unit.task_support import Told, assignment, equipment

KEY = "sk-the-key-of-this-worker-0123456789"
USAGE = Usage(input=100, output=10, cache_read=7)


def scripted(*answers):
    remaining = list(answers)
    return lambda _: remaining.pop(0) if len(remaining) > 1 else remaining[0]


@pytest.fixture
async def llm(tmp_path, monkeypatch):
    """A processor of a worker that has a key."""
    monkeypatch.setenv("MY_KEY", KEY)
    async with equipment(tmp_path) as lent:
        processor = LlmProcessor(lent)
        processor.redact = lent.redactor.redact
        yield processor


def asked(server, provider="openai", **more):
    path = {"openai": "/v1"}.get(provider, "")
    where = {"provider": provider, "model": "gpt-5", "base_url": f"{server.url}{path}"}
    return {**where, "credential": "env:MY_KEY", **more}


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "ollama"])
async def test_a_model_answers(llm, provider):
    """If it failed, models of one kind could not be asked, or would not hear all of what is asked."""
    more = {"system": "Be short.", "max_tokens": 50, "temperature": 0.5}
    async with LlmServer(scripted(Reply("Four.", usage=USAGE))) as server:
        told = Told()
        done = await llm.process(assignment(told, "Two and two?", **asked(server, provider, **more)))
        (turn,) = server.turns
    assert (done.success, done.result) == (True, "Four.")
    assert (turn.user_text.strip(), turn.system_text.strip()) == ("Two and two?", "Be short.")
    assert '"0.5"' in json.dumps(turn.body) or "0.5" in json.dumps(turn.body)
    assert "50" in json.dumps(turn.body)
    usage = done.trace["usage"]
    assert (usage["calls"], usage["output_tokens"]) == (1, 10)
    assert usage["input_tokens"] >= 100
    assert told.facts == [{"usage": usage}]
    if provider == "openai":
        assert usage["cost_usd"] > 0


async def test_the_key_stays_in_the_gateway(llm):
    """If it failed, the key of a worker would be in a row, or be sent to where it does not belong."""
    async with LlmServer(scripted(Reply("Yes."))) as server:
        told = Told()
        done = await llm.process(assignment(told, "Well?", **asked(server)))
        (request,) = server.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in f"{done} {told.facts}"
    assert KEY not in llm.redact(f"it is {KEY}")


async def test_trouble_that_passes_is_waited_for(llm):
    """If it failed, a task would fail where a little patience helps, or its cost be counted once only."""
    overloaded = Fault(503, headers={"retry-after": "1"})
    async with LlmServer(scripted(overloaded, Drop(), Reply("At last.", usage=USAGE))) as server:
        since = time.monotonic()
        done = await llm.process(assignment(None, "Well?", **asked(server)))
    assert (done.success, done.result) == (True, "At last.")
    assert time.monotonic() - since >= 2
    assert (done.trace["usage"]["calls"], done.trace["usage"]["output_tokens"]) == (3, 10)


async def test_what_earlier_attempts_spent_is_kept(llm):
    """If it failed, what a lost attempt cost would be forgotten."""
    spent = TaskUsage(calls=2, input_tokens=1_000, output_tokens=5, cost_usd=1.5)
    async with LlmServer(scripted(Reply("Yes.", usage=USAGE))) as server:
        done = await llm.process(assignment(None, "Well?", usage=spent, attempt=2, **asked(server)))
    usage = done.trace["usage"]
    assert (usage["calls"], usage["output_tokens"]) == (3, 15)
    assert usage["cost_usd"] > 1.5


async def test_a_spent_budget_asks_no_more(llm):
    """If it failed, a task would go on spending after its budget, or not say what ended it."""
    spent = TaskUsage(calls=1, input_tokens=1_000)
    async with LlmServer(scripted(Reply("Yes.", usage=USAGE))) as server:
        where = asked(server, budget_tokens=1_000)
        done = await llm.process(assignment(None, "Well?", usage=spent, **where))
        assert server.requests == []
    assert (done.success, done.error_kind) == (False, TaskErrorKind.BUDGET)
    assert done.error == "The budget of this run is spent: 1,000 of 1,000 tokens."


async def test_an_answer_beyond_the_budget_is_kept(llm):
    """If it failed, too dear a task would count as a success, or an answer that is paid for be lost."""
    async with LlmServer(scripted(Reply("Yes.", usage=USAGE))) as server:
        done = await llm.process(assignment(None, "Well?", **asked(server, budget_usd=0.00001)))
    assert (done.success, done.error_kind, done.result) == (False, TaskErrorKind.BUDGET, "Yes.")
    assert re.fullmatch(r"The budget of this run is spent: \$0\.\d+ of \$0\.00001\.", done.error)


async def test_a_refusal_is_final(llm):
    """If it failed, a wrong key would be tried again and again, and nobody be told."""
    async with LlmServer(scripted(Fault(401, "no such key"))) as server:
        done = await llm.process(assignment(None, "Well?", **asked(server)))
        assert len(server.requests) == 1
    assert (done.success, done.error_kind) == (False, TaskErrorKind.FAILED)
    assert "The model 'gpt-5' did not answer: status 401" in done.error
    assert "no such key" in done.error


async def test_a_limit_that_lasts_too_long_is_told(llm):
    """If it failed, a task would wait until its time is over without a word."""
    limited = Fault(429, headers={"retry-after": "900"})
    async with LlmServer(scripted(limited)) as server:
        done = await llm.process(assignment(None, "Well?", **asked(server)))
    assert "takes no more questions for" in done.error


async def test_an_answer_without_words_is_none(llm):
    """If it failed, a task would count as completed that nobody answered."""
    async with LlmServer(scripted(Reply(""))) as server:
        done = await llm.process(assignment(None, "Well?", **asked(server)))
    assert "said nothing" in done.error


@pytest.mark.parametrize(
    ("instruction", "parameters", "says"),
    [
        ("", {"model": "openai:gpt-5"}, "needs an instruction"),
        ("Well?", {}, "give the parameter 'model' as provider:model, or set SHIFTWORK_LLM_MODEL"),
        ("Well?", {"model": "gpt-5"}, "A task of 'llm', setting 'model': 'gpt-5' names no provider"),
        ("Well?", {"model": "openai:gpt-5", "credential": KEY}, "is given by reference"),
        ("Well?", {"model": "openai:gpt-5", "key": "x"}, "parameter 'key': is not known; known are api_key,"),
        ("Well?", {"model": "openai:gpt-5", "temperature": 9}, "parameter 'temperature'"),
        ("Well?", {"model": "openai:gpt-5", "budget_tokens": -1}, "parameter 'budget_tokens'"),
    ],
)
async def test_what_can_not_be_asked_is_refused(llm, instruction, parameters, says):
    """If it failed, a mistake would be paid for, or show a key."""
    with pytest.raises(InvalidInput, match=says) as raised:
        await llm.process(assignment(None, instruction, **parameters))
    assert KEY not in str(raised.value)


async def test_settings_of_the_worker_bind(tmp_path, monkeypatch):
    """If it failed, whoever may make tasks could have the worker's key sent to any host."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    more = {"SHIFTWORK_LLM_MODEL": "openai:gpt-5", "SHIFTWORK_MODEL_HOSTS": "api.openai.com"}
    async with LlmServer(scripted(Reply("Yes."))) as server, equipment(tmp_path, **more) as lent:
        elsewhere = assignment(None, "Well?", base_url=f"{server.url}/v1")
        with pytest.raises(InvalidInput, match=r"'127.0.0.1' is not among those allowed"):
            await LlmProcessor(lent).process(elsewhere)
        assert server.requests == []
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    async with equipment(tmp_path, SHIFTWORK_LLM_MODEL="openai:gpt-5") as lent:
        done = await LlmProcessor(lent).process(assignment(None, "Well?", timeout=0.5))
    assert "The model 'gpt-5'" in done.error
