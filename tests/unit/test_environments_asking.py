"""What environments are asked beside their steps, by whom, and for how long."""

import itertools
import time

from shiftwork.environments.play_state import play_of
from tests.unit.walking import Walk


class Clocked(Walk):
    """A step takes ten seconds of its clock, and it can only be made again."""

    def __init__(self, **limits):
        super().__init__(**limits)
        self.counted = itertools.count()
        Clocked.clock = 0.0

    async def step(self, action, by=1):
        Clocked.clock += 10
        if by == 7:
            raise OSError("the line is down")
        return await super().step(action)


async def test_the_time_of_an_undo_is_not_the_episodes():
    """A failed action would cost a player as much time again as it had played for."""
    environment = Clocked(timeout_seconds=85)
    await environment.reset(seed=1)
    episode = play_of(environment).episode
    episode.now, episode.began = lambda: Clocked.clock, 0.0
    for by in (1, 1, 1, 7, 7):
        await environment.step("go", by=by)
    assert Clocked.clock == 110
    assert environment.get_stats().duration_seconds == 50
    assert [(await environment.step("go")).observation.truncated for _ in range(4)] == [
        *[False] * 3,
        True,
    ]


async def test_an_episode_does_not_end_by_the_clock_while_a_step_of_it_is_undone():
    """Whoever asks meanwhile whether it is over would end it."""

    class Asked(Clocked):
        async def step(self, action, by=1):
            result = await super().step(action, by)
            over.append(environment.is_done())
            return result

    over, environment = [], Asked(timeout_seconds=45)
    await environment.reset(seed=1)
    episode = play_of(environment).episode
    episode.now, episode.began = lambda: Clocked.clock, 0.0
    for by in (1, 1, 7):
        await environment.step("go", by=by)
    assert (Clocked.clock, over) == (50, [False] * 4)
    assert environment.get_stats().duration_seconds == 30


async def test_the_time_of_noting_what_an_environment_holds_is_not_the_episodes():
    """A large world would have fewer steps in its time than a small one in which the same is done."""

    class Large(Walk):
        def __init__(self):
            super().__init__()
            self.world = [[number] for number in range(30_000)]

    environment = Large()
    await environment.reset()
    began = time.monotonic()
    for _ in range(3):
        await environment.step("go")
    lasted = time.monotonic() - began
    assert environment.get_stats().duration_seconds < lasted / 2
