"""An agent that acts when it wants to, and a play that asks for one step after the other."""

import asyncio
import json

import pytest

from shiftwork.environments.protocol import Observation
from shiftwork.environments.talking import Reply, read_question
from shiftwork.environments.trajectory import Choice, Step
from shiftwork.environments.turns import Turns, said
from shiftwork.errors import Conflict, InvalidInput


def step(number: int, **more: object) -> Step:
    return Step.model_validate({"number": number, "action": "go", "observation": "-", "reward": 0.5, **more})


def seen(content: str, **more: object) -> Observation:
    return Observation.model_validate({"content": content, **more})


async def ask(turns: Turns, do: str = "step", **more: object) -> Reply:
    told = {"action": "go"} if do == "step" else {}
    return await turns.answer(json.dumps({"do": do, **told, **more}).encode())


async def asked(turns: Turns, do: str = "step", **more: object) -> "asyncio.Task[Reply]":
    """The question, under way."""
    task = asyncio.create_task(ask(turns, do, **more))
    await asyncio.sleep(0)
    return task


async def test_a_step_is_answered_by_the_turn_that_follows() -> None:
    """If it failed, an agent would see what came of its action before that is written, or never."""
    turns = Turns()
    early = await asked(turns, "observe")
    assert not early.done()
    turns.show(seen("begin"), None)
    assert (await early).observation == seen("begin")
    act = await asked(turns, parameters={"far": 2})
    assert await turns.choose() == Choice(action="go", parameters={"far": 2})
    await asyncio.sleep(0)
    assert not act.done()
    assert (await ask(turns, "observe")).steps == 0
    turns.show(seen("there", reward=0.5), step(1))
    reply = await act
    assert (reply.ok, reply.reward, reply.observation) == (True, 0.5, seen("there", reward=0.5))
    stats = await ask(turns, "stats")
    assert (stats.steps, stats.refused, stats.total_reward, stats.observation) == (1, 0, 0.5, None)


async def test_a_refusal_says_why_and_counts() -> None:
    """If it failed, an agent would take what was refused for done, or not know what to do instead."""
    turns = Turns()
    turns.show(seen("begin"), None)
    act = await asked(turns)
    await turns.choose()
    turns.show(seen("begin"), step(1, success=False, error="there is no action 'go' now", reward=0.0))
    reply = await act
    assert (reply.ok, reply.error, reply.reward) == (False, "there is no action 'go' now", None)
    assert (reply.steps, reply.refused) == (1, 1)


async def test_one_step_at_a_time() -> None:
    """If it failed, actions of an agent would be taken in an order that nobody chose."""
    turns = Turns()
    turns.show(seen("begin"), None)
    first = await asked(turns)
    with pytest.raises(Conflict, match="another step is under way"):
        await ask(turns)
    await turns.choose()
    with pytest.raises(Conflict, match="another step is under way"):
        await ask(turns)
    assert (await ask(turns, "observe")).ok
    turns.show(seen("there"), step(1))
    assert (await first).ok
    assert not (await asked(turns)).done()


async def test_the_end_answers_everybody() -> None:
    """If it failed, an agent would wait for ever for the answer to its last action, or go on afterwards."""
    turns = Turns()
    turns.show(seen("begin"), None)
    last = await asked(turns)
    await turns.choose()
    turns.end(seen("won", terminated=True, reward=1.0), step(1, reward=1.0))
    reply = await last
    assert (reply.ok, reply.over, reply.reward, reply.why) == (True, True, 1.0, "It ended by its own rules.")
    after = await ask(turns)
    assert (after.ok, after.error, after.steps) == (
        False,
        "the episode is over: no more actions are taken",
        1,
    )
    assert (await ask(turns, "observe")).observation == seen("won", terminated=True, reward=1.0)


async def test_a_step_that_comes_too_late_is_not_taken() -> None:
    """If it failed, an action asked for at the end would hang, or be told as taken."""
    turns = Turns([step(1)])
    turns.show(seen("begin"), step(1))
    late = await asked(turns)
    turns.end(seen("late", truncated=True), step(1))
    reply = await late
    assert (reply.ok, reply.over, reply.steps, reply.reward) == (False, True, 1, None)
    assert reply.why.startswith("It was cut short")


async def test_a_step_nobody_waits_for_is_forgotten_unless_it_was_taken() -> None:
    """If it failed, an agent that was ended would act once more, or block whoever takes over."""
    turns = Turns()
    turns.show(seen("begin"), None)
    gone = await asked(turns)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    choosing = asyncio.create_task(turns.choose())
    await asyncio.sleep(0)
    assert not choosing.done()
    dead = await asked(turns, action="turn")
    assert (await choosing).action == "turn"
    dead.cancel()
    await asyncio.gather(dead, return_exceptions=True)
    with pytest.raises(Conflict):
        await ask(turns)
    turns.show(seen("turned"), step(1))
    after = await asked(turns)
    assert (await turns.choose()).action == "go"
    turns.show(seen("gone"), step(2))
    assert (await after).steps == 2


async def test_what_was_done_before_counts() -> None:
    """If it failed, an agent that takes over would believe that nothing was done yet."""
    turns = Turns([step(1), step(2, success=False, reward=0.0)])
    turns.show(seen("now"), step(2, success=False, reward=0.0))
    stats = await ask(turns, "stats")
    assert (stats.steps, stats.refused, stats.total_reward) == (2, 1, 0.5)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b'{"do": "reset"}', "'observe', 'step' or 'stats'"),
        (b'{"do": "step"}', "a step needs 'action'"),
        (b'{"do": "step", "action": ""}', "at least 1 character"),
        (b'{"do": "step", "action": 7}', "valid string"),
        (b'{"do": "step", "action": "go", "parameters": [1]}', "parameters: "),
        (b'{"do": "step", "action": "go", "seed": 3}', "Extra inputs"),
        (b'{"do": "step", "action": "\\u0000"}', "NUL"),
        (b'{"do": "step", "action": "go", "parameters": {"a": ["\\u0000"]}}', "NUL"),
        (b'{"do": "step", "action": "go", "parameters": {"\\u0000": 1}}', "NUL"),
        (b'{"do": "step", "action": "go", "parameters": {"a": "\\ud800"}}', "hex escape"),
        (b'{"do": "step", "action": "go", "parameters": {"a": NaN}}', "no number for"),
        (b'{"do": "step", "action": "go", "parameters": {"a": %s}}' % (b"9" * 5_000), ""),
        (b'{"do": "step", "action": "go", "parameters": %s}' % (b'{"a":' * 500 + b"1" + b"}" * 500), ""),
        (b'{"do": "step", "action": "go", "parameters": {"a": "\xff"}}', ""),
    ],
    ids=[
        *("nothing", "a list", "unknown", "no action", "empty action", "a number", "a list of parameters"),
        *("more", "NUL action", "NUL value", "NUL name", "half a character", "NaN", "huge", "deep", "bytes"),
    ],
)
async def test_what_can_not_be_understood_is_refused(data: bytes, says: str) -> None:
    """If it failed, a mistake of an agent, or its malice, would end the episode or the worker."""
    turns = Turns()
    turns.show(seen("begin"), None)
    with pytest.raises(InvalidInput) as caught:
        read_question(data)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 1_000
    status, body = await said(turns, data)
    assert (status, json.loads(body)["ok"]) == (400, False)
    assert turns.history == []


async def test_http_says_what_went_wrong() -> None:
    """If it failed, a program could not tell a mistake of its own from another step under way."""
    turns = Turns()
    turns.show(seen("begin"), None)
    status, body = await said(turns, b'{"do": "observe"}')
    assert (status, json.loads(body)["observation"]["content"]) == (200, "begin")
    waiting = await asked(turns)
    status, body = await said(turns, b'{"do": "step", "action": "go"}')
    assert (status, json.loads(body)["error"]) == (409, "another step is under way: wait for its answer")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
