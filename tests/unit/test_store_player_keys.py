"""The secret of an evaluation, of which its players' seeds are made, against a real PostgreSQL."""

import asyncio

from client.rest.answering_environments import EvaluationLine
from shiftwork.contracts.episode import EvaluationSpec
from shiftwork.store.store import Store

SPEC = EvaluationSpec(environment="number_guess", episodes=2, seed=7)


async def key_of(store: Store, evaluation: int) -> bytes:
    async with store.transaction() as tx:
        return await tx.evaluations.player_key(evaluation)


async def test_each_evaluation_has_a_key_of_its_own_that_stays(store):
    """If it failed, a program could try all seeds, or would see another seed after a crash."""
    async with store.transaction() as tx:
        first, second = await tx.evaluations.create(SPEC), await tx.evaluations.create(SPEC)
    keys = set(await asyncio.gather(*(key_of(store, first.id) for _ in range(4))))
    assert keys == {await key_of(store, first.id)}
    assert keys != {await key_of(store, second.id)}
    assert {len(key) for key in keys} == {32}


async def test_nobody_is_shown_the_key(store):
    """If it failed, who reads an evaluation could tell a player which episode it plays."""
    async with store.transaction() as tx:
        row = await tx.evaluations.create(SPEC)
        await tx.evaluations.player_key(row.id)
        shown = await tx.evaluations.get(row.id)
    assert "player_key" not in shown.model_dump()
    assert "key" not in EvaluationLine.line(shown, {}).model_dump_json()
