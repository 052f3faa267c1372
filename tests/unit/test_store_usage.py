"""What agents report of their use, in rows."""

import pytest

from shiftwork.errors import InvalidInput
from tests.unit.test_store import a_session

MOST = 2**53 - 1


async def test_sums_stop_where_they_no_longer_fit(store):
    """Otherwise counts that an agent invents would end no run: its attempt would be repeated for ever."""
    project, _, session = await a_session(store)
    async with store.transaction() as tx:
        attempt = await tx.attempts.begin(session.id, "host", 30)
    for sequence in range(3):
        async with store.transaction() as tx:
            used = {"input_tokens": MOST, "output_tokens": MOST, "cost_usd": 9e8}
            assert await tx.usage.add(session.id, attempt.attempt, attempt.token, sequence, **used)
    async with store.transaction() as tx:
        row = await tx.sessions.by_id(session.id)
        assert (row.total_tokens, row.total_cost_usd) == (MOST, 1e9)
        assert (await tx.usage.budget(project.id))[1] == 1e9
        assert (await tx.usage.of_session(session.id)).input_tokens == 3 * MOST


@pytest.mark.parametrize("wrong", [-1, 2**60, float("nan"), float("inf")])
async def test_a_number_that_is_none_is_refused(store, wrong):
    """Otherwise a bad number would reach a budget, or fail as an error of the database's."""
    _, _, session = await a_session(store)
    async with store.transaction() as tx:
        attempt = await tx.attempts.begin(session.id, "host", 30)
    with pytest.raises(InvalidInput, match="cost_usd"):
        async with store.transaction() as tx:
            await tx.usage.add(session.id, attempt.attempt, attempt.token, 0, cost_usd=wrong)
