"""Handoffs saved and loaded, on a real PostgreSQL: in a session, on a store, and bare."""

import asyncio

import pytest

from shiftwork.errors import InvalidInput, NotFound
from shiftwork.handoffs import HandoffContext, HandoffManager
from shiftwork.store.agents import AgentDefinition
from shiftwork.store.task_rows import NewTask

CONTEXT = HandoffContext(state={"last_price": 840.0}, metadata={"run_count": 5})


@pytest.fixture
async def agent_id(store):
    async with store.transaction() as tx:
        return (await tx.agents.register("watch", AgentDefinition(kind="python", code="1"))).id


@pytest.mark.parametrize(
    "wrong",
    [
        {"summary": None},
        {"context": None},
        {"context": {"state": {}}},
        {"ttl_days": "3"},
        {"ttl_days": True},
        {"ttl_days": float("nan")},
    ],
    ids=["no summary", "no context", "dict", "text", "bool", "nan"],
)
async def test_what_is_no_handoff_is_refused(store, agent_id, wrong):
    """If it failed, a caller who errs would see where we did not look instead of what is wrong."""
    manager = HandoffManager(store)
    with pytest.raises(InvalidInput):
        await manager.save_handoff(agent_id, None, **{"context": CONTEXT, "summary": "x", **wrong})
    assert await manager.load_latest_handoff(agent_id) is None


async def test_the_newest_is_loaded(store, agent_id):
    """If it failed, an agent would go on from an older run, or from nothing."""
    manager = HandoffManager(store)
    assert await manager.load_latest_handoff(agent_id) is None
    for number in range(3):
        await manager.save_handoff(agent_id, None, HandoffContext(state={"n": number}), f"run {number}")
    assert await manager.load_latest_handoff(agent_id) == HandoffContext(state={"n": 2})
    history = await manager.load_handoff_history(agent_id, limit=2)
    assert [(artifact.summary, context.state) for artifact, context in history] == [
        ("run 2", {"n": 2}),
        ("run 1", {"n": 1}),
    ]
    assert await manager.load_handoff_history(agent_id, limit=0) == []


async def test_an_expired_one_is_never_loaded(store, agent_id):
    """If it failed, an agent would trust what its author said it no longer may."""
    manager = HandoffManager(store)
    artifact = await manager.save_handoff(agent_id, None, CONTEXT, "", ttl_days=1e-7)
    assert artifact.expires_at is not None
    await asyncio.sleep(0.02)
    assert await manager.load_latest_handoff(agent_id) is None
    assert await manager.load_handoff_history(agent_id) == []
    await manager.save_handoff(agent_id, None, CONTEXT, "", ttl_days=None)
    assert await manager.cleanup_expired() == 1
    assert await manager.load_latest_handoff(agent_id) == CONTEXT


async def test_in_a_callers_session_it_is_of_its_transaction(store, agent_id):
    """If it failed, what a caller takes back would be kept all the same."""
    manager = HandoffManager(store)

    async def fail():
        async with store.session() as session:
            await manager.save_handoff(agent_id, None, CONTEXT, "", session=session)
            assert await manager.load_latest_handoff(agent_id, session=session) == CONTEXT
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await manager.load_latest_handoff(agent_id) is None
    async with store.session() as session:
        await manager.save_handoff(agent_id, None, CONTEXT, "", session)
    assert await manager.load_latest_handoff(agent_id) == CONTEXT


async def test_bare_it_finds_the_running_stack(stack, monkeypatch):
    """If it failed, people would have to know where the database is."""
    monkeypatch.setenv("SHIFTWORK_STATE", str(stack.state))
    async with HandoffManager() as manager:
        with pytest.raises(NotFound, match="agent 987654321 with task 1"):
            await manager.save_handoff(987654321, 1, CONTEXT, "")
        assert await manager.load_latest_handoff(987654321) is None


async def test_a_task_of_another_agent_is_refused_and_the_transaction_goes_on(store, agent_id):
    """If it failed, a handoff would tell of another's run, or a mistake cost the caller all its work."""
    async with store.transaction() as tx:
        other = await tx.agents.register("other", AgentDefinition(kind="python", code="1"))
        task = await tx.tasks.create(NewTask(provider="agent", agent_id=other.id))
    manager = HandoffManager(store)
    async with store.session() as session:
        for owner, run in ((agent_id, task.id), (987654321, None), (2**70, None)):
            with pytest.raises(NotFound, match=f"no agent {owner}"):
                await manager.save_handoff(owner, run, CONTEXT, "", session)
        for odd in (True, "1", None, 1.0):
            with pytest.raises(InvalidInput, match="is no id"):
                await manager.save_handoff(odd, None, CONTEXT, "", session)
            with pytest.raises(InvalidInput, match="is no id"):
                await manager.load_latest_handoff(odd, session)
        assert await manager.load_latest_handoff(2**70, session) is None
        await manager.save_handoff(other.id, task.id, CONTEXT, "", session)
    assert await manager.load_latest_handoff(other.id) == CONTEXT


async def test_what_is_wrong_is_refused_and_nothing_is_stored(store, agent_id):
    """If it failed, half of a handoff would be there."""
    manager = HandoffManager(store)
    for context, summary, days, says in (
        (CONTEXT, "x" * 2_001, 30, "2,001 characters, and may have 2,000"),
        (CONTEXT, "", 0, "ttl_days is 0"),
        (CONTEXT, "", float("nan"), "ttl_days is nan"),
        (HandoffContext(state={"a": object()}), "", 30, "JSON can't hold"),
    ):
        with pytest.raises(InvalidInput, match=says):
            await manager.save_handoff(agent_id, None, context, summary, ttl_days=days)
    for limit in (-1, None, True, "3"):
        with pytest.raises(InvalidInput, match=f"limit is {limit!r}; it must be a whole number"):
            await manager.load_handoff_history(agent_id, limit=limit)
    assert await manager.load_latest_handoff(agent_id) is None
