"""Episodes that somebody plays by calls: real environments in processes of their own."""

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from shiftwork.environments.host import Order
from shiftwork.environments.hosting import EnvironmentHost
from shiftwork.environments.interactive import InteractiveEpisode
from shiftwork.environments.trajectory import Choice, Ending
from shiftwork.errors import EnvironmentFailed, InvalidInput
from shiftwork.sandbox.choose import cheap_sandbox


def hosts() -> list[psutil.Process]:
    """The processes of environments that this one has."""
    return [
        each
        for each in psutil.Process().children(recursive=True)
        if each.is_running()
        and each.status() != psutil.STATUS_ZOMBIE
        and "shiftwork.environments.host" in each.cmdline()
    ]


@pytest.fixture
def episode(tmp_path: Path) -> Any:
    """Makes episodes; at the end nothing of them may be left."""
    host = EnvironmentHost(cheap_sandbox(), tmp_path)

    def make(environment: str = "number_guess", *, seed: int = 1, **more: Any) -> InteractiveEpisode:
        parameters = more.pop("parameters", {})
        order = Order(environment=environment, parameters=parameters, seed=seed, player="asked")
        return InteractiveEpisode(host, order, **more)

    yield make
    assert not hosts()


def guess(number: object) -> Choice:
    return Choice(action="guess", parameters={"number": number})


async def test_it_is_played_to_its_end(episode) -> None:
    """If it failed, who plays by calls would see another game than who plays otherwise."""
    played = episode("number_guess", seed=3)
    position = await played.begin()
    assert position.stats.seed == 3
    assert position.stats.reproducible
    assert [action.name for action in position.observation.available_actions] == ["guess"]
    refused = await played.step(guess("five"))
    assert not refused.last.success
    assert "'five' is not of type 'integer'" in refused.last.error
    assert refused.observation.content == position.observation.content
    total = 0.0
    while position.ending is None:
        facts = position.observation.metadata
        position = await played.step(guess((facts["least"] + facts["most"]) // 2))
        total += position.last.reward
        assert position.stats.total_reward == pytest.approx(total)
        assert position == played.position
    assert position.ending is Ending.TERMINATED
    assert position.stats.success
    assert position.stats.refused_actions == 1
    assert "is right" in position.observation.content
    with pytest.raises(InvalidInput, match="the episode is over: it ended by its own rules"):
        await played.step(guess(1))
    await played.end()
    assert played.over


async def test_actions_at_once_are_taken_in_order_even_if_nobody_waits(episode) -> None:
    """If it failed, an answer could be that of another action, or a cancelled call could lose the episode."""
    played = episode()
    await played.begin()
    [process] = hosts()
    process.suspend()
    first = asyncio.create_task(played.step(guess(1)))
    second = asyncio.create_task(played.step(guess(2)))
    await asyncio.sleep(0.05)
    first.cancel()
    process.resume()
    position = await second
    assert position.observation.metadata["guesses"] == [1, 2]
    assert (position.last.number, position.stats.total_steps) == (2, 2)
    await played.end()
    with pytest.raises(InvalidInput, match="nobody played on or it was ended"):
        await played.step(guess(3))
    assert played.position.observation == position.observation


async def test_what_hangs_is_a_sentence(episode) -> None:
    """If it failed, an environment that hangs would take with it whoever serves it."""
    played = episode(step_seconds=5)  # a busy machine is slow to begin
    await played.begin()
    hosts()[0].suspend()
    for _ in range(2):
        with pytest.raises(EnvironmentFailed, match="did not answer within 5 seconds, and was ended"):
            await played.step(guess(1))
    assert played.over


async def test_an_episode_outlives_its_process(episode) -> None:
    """If it failed, whatever the system kills would end the episode of a model that plays."""
    played = episode()
    await played.begin()
    await played.step(guess(1))
    hosts()[0].kill()
    position = await played.step(guess(2))
    assert position.observation.metadata["guesses"] == [1, 2]
    assert (position.last.number, position.stats.total_steps) == (2, 2)
    assert not played.over


@pytest.mark.parametrize(
    ("environment", "parameters", "kind"),
    [
        pytest.param("no_such", {}, InvalidInput, id="unknown"),
        pytest.param("number_guess", {"low": 5, "high": 1}, InvalidInput, id="wrong parameters"),
        pytest.param("os:_exit", {"status": 3}, EnvironmentFailed, id="dies"),
        pytest.param("subprocess:run", {"args": ["sleep", "60"]}, EnvironmentFailed, id="hangs"),
    ],
)
async def test_what_can_not_begin_is_a_sentence(episode, environment: str, parameters: dict, kind) -> None:
    """If it failed, what can't begin would be waited for, or be a traceback."""
    # A host takes up to seconds to start, on a busy machine: only what hangs is not waited for.
    played = episode(environment, parameters=parameters, step_seconds=1 if "args" in parameters else 60)
    with pytest.raises(kind):
        await played.begin()
    assert played.over


async def test_who_does_not_play_on_leaves_no_process(episode) -> None:
    """If it failed, each episode that an agent forgets would be a process for ever."""
    played = episode("maze", idle_seconds=0.2)
    await played.begin()
    assert len(hosts()) == 1
    async with asyncio.timeout(100):
        while not played.over:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.02)
    assert played.position.ending is Ending.STOPPED
    assert played.position.observation.content
