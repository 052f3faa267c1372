"""Evaluations and their episodes against a real PostgreSQL."""

import pytest

from shiftwork.contracts.episode import EpisodeErrorKind, EpisodeStatus, EvaluationSpec
from shiftwork.environments.trajectory import Ending, Step
from shiftwork.errors import Conflict
from shiftwork.store.episodes import EpisodeOutcome

SPEC = EvaluationSpec(environment="maze", parameters={"rows": 4, "weight": 1e23}, episodes=3, seed=7)


async def test_a_key_finds_what_it_was_given_for(store):
    """Who asks again after a lost answer would have everything played twice."""
    async with store.transaction() as tx:
        first = await tx.evaluations.create(SPEC, "once")
        assert await tx.evaluations.create(SPEC, "once") == first
        assert len(await tx.episodes.of(first.id)) == 3


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"environment": "number_guess", "parameters": {}}, id="environment"),
        pytest.param({"episodes": 4}, id="episodes"),
        pytest.param({"parameters": {"rows": 5, "weight": 1e23}}, id="parameters"),
        pytest.param({"max_steps": 9}, id="max-steps"),
    ],
)
async def test_a_key_that_asks_for_something_else_is_a_conflict(store, other):
    """The results of one environment would be told as those of another."""
    async with store.transaction() as tx:
        first = await tx.evaluations.create(SPEC, "once")
        with pytest.raises(Conflict, match=f"'once' is evaluation {first.id}'s, which was asked for otherw"):
            await tx.evaluations.create(SPEC.model_copy(update=other), "once")


async def test_what_fails_leaves_no_episode_open(store):
    """Episodes of a cancelled evaluation would seem about to begin, for ever."""
    async with store.transaction() as tx:
        row = await tx.evaluations.create(SPEC)
        played, begun, unbegun = await tx.episodes.of(row.id)
        held = await tx.episodes.begin(played.id, "here", "none")
        done = EpisodeOutcome(status=EpisodeStatus.COMPLETED, ending=Ending.TERMINATED, total_reward=1.0)
        await tx.episodes.finish(played.id, held.token, done)
        await tx.episodes.begin(begun.id, "here", "none")
        await tx.evaluations.move(row.id, EpisodeStatus.FAILED)
        first, *others = await tx.episodes.of(row.id)
        assert (first.status, first.error) == (EpisodeStatus.COMPLETED, None)
        for each in others:
            assert (each.status, each.error_kind) == (EpisodeStatus.FAILED, EpisodeErrorKind.CANCELLED)
            assert each.error == "The evaluation was cancelled before this episode had ended."
            assert each.ended_at is not None
        with pytest.raises(Conflict, match="has ended already"):
            await tx.episodes.begin(unbegun.id, "here", "none")


async def test_an_evaluation_that_has_ended_stays_as_it_is(store):
    """A late answer of Temporal would undo what is known."""
    async with store.transaction() as tx:
        row = await tx.evaluations.create(SPEC)
        await tx.evaluations.move(row.id, EpisodeStatus.COMPLETED)
        await tx.evaluations.fail(row.id, "too late", EpisodeErrorKind.LOST)
        assert (await tx.evaluations.get(row.id)).status is EpisodeStatus.COMPLETED
        assert {each.error for each in await tx.episodes.of(row.id)} == {None}


async def test_an_episode_keeps_how_long_it_was_played_and_whose_faults_there_were(store):
    """Taken up again it would have its whole time anew, and count faults as wrong actions."""
    async with store.transaction() as tx:
        row = await tx.evaluations.create(SPEC)
        episode = (await tx.episodes.of(row.id))[0]
        held = await tx.episodes.begin(episode.id, "here", "none")
        failed = {"action": "move", "success": False, "fault": True, "error": "it broke", "observation": "0"}
        steps = [Step(number=1, **failed), Step(number=2, broken=True, **failed)]
        for step in steps:
            await tx.episodes.add(episode.id, held.token, step, 2.5)
        await tx.episodes.give_back(episode.id, held.token, 12.5)
        again = await tx.episodes.begin(episode.id, "here", "none")
        assert (again.worker_stops, again.played_seconds) == (1, 12.5)
        assert [each.step for each in await tx.episodes.steps(episode.id)] == steps


@pytest.mark.parametrize("by", ["finish", "give_up", "fail"])
async def test_an_episode_that_failed_came_to_what_its_steps_did(store, by):
    """What was played for an hour would be told as nothing, because it did not come to its end."""
    outcome = EpisodeOutcome(status=EpisodeStatus.FAILED, error="gone", error_kind=EpisodeErrorKind.LOST)
    async with store.transaction() as tx:
        row = await tx.evaluations.create(SPEC.model_copy(update={"episodes": 2}))
        played, untouched = await tx.episodes.of(row.id)
        held = await tx.episodes.begin(played.id, "here", "none")
        await tx.episodes.begin(untouched.id, "here", "none")
        for number, reward in enumerate((0.1, 0.2, None), start=1):
            paid = {} if reward is None else {"reward": reward, "rewards": {"ann": reward, "bob": -1.0}}
            step = Step(number=number, action="go", success=reward is not None, observation="0", **paid)
            await tx.episodes.add(played.id, held.token, step, number)
        if by == "fail":
            await tx.evaluations.fail(row.id, "gone", EpisodeErrorKind.LOST)
        elif by == "finish":
            await tx.episodes.finish(played.id, held.token, outcome)
        else:
            await tx.episodes.give_up(played.id, outcome)
        if by != "fail":
            await tx.episodes.give_up(untouched.id, outcome)
        first, second = await tx.episodes.of(row.id)
    assert (first.status, first.total_steps, first.refused_actions) == (EpisodeStatus.FAILED, 2, 1)
    assert (first.total_reward, first.rewards) == (0.1 + 0.2, {"ann": 0.1 + 0.2, "bob": -2.0})
    assert (second.total_steps, second.refused_actions) == (0, 0)
    assert (second.total_reward, second.rewards) == (None, None)
