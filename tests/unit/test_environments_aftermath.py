"""What a failed step leaves to be cleaned up is cleaned up before it is undone, and nobody else's is."""

import itertools

import pytest

from shiftwork.environments import ActionResult, HarnessStatus
from tests.unit.walking import Walk


class Guard:
    """It counts down when it ends."""

    def __init__(self, environment):
        self.environment = environment
        environment.count += 1

    def __del__(self):
        self.environment.count -= 1


class LostError(Exception):
    def __del__(self):
        self.environment.count -= 1


class Leaves(Walk):
    """It counts up, and what it leaves behind counts down."""

    def __init__(self):
        super().__init__()
        self.count = 0

    async def reset(self, seed=None):
        self.count = 0
        return await super().reset()

    async def step(self, action, by=1):
        if by < 7:
            return await super().step(action, by)
        return self.leave()


class AnError(Leaves):
    def leave(self):
        self.count += 1
        error = LostError("the line is down")
        error.environment = self
        raise error


class AnArgument(Leaves):
    def leave(self):
        raise OSError("the line is down", Guard(self))


class ACause(Leaves):
    def leave(self):
        raise OSError("the line is down") from ValueError(Guard(self))


class ACycle(Leaves):
    def leave(self):
        Guard(self).itself = guard = Guard(self)
        guard.itself = guard
        raise OSError("the line is down")


class ACycleThatIsHeld(Leaves):
    def leave(self):
        self.guard = Guard(self)
        self.guard.itself = self.guard
        raise OSError("the line is down")


class ACycleOfLongAgo(Leaves):
    """What the step made after it lets the interpreter take it for old."""

    def leave(self):
        guard = Guard(self)
        guard.itself = guard
        made = [[] for _ in range(50_000)]
        raise OSError(f"the line is down {len(made)} times")


class AGenerator(Leaves):
    """It refuses the action itself, while a generator that it knows no more waits."""

    def ticks(self):
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1

    def leave(self):
        ticks = self.ticks()
        next(ticks)
        around = [ticks]
        around.append(around)
        return ActionResult(success=False, observation=self.seen(), error="no way")


class ACycleOfOneThatIsMadeAgain(ACycle):
    def __init__(self):
        super().__init__()
        self.held = (each for each in ())


@pytest.mark.parametrize(
    "kind",
    [
        *(AnError, AnArgument, ACause, ACycle, ACycleThatIsHeld, ACycleOfLongAgo, AGenerator),
        ACycleOfOneThatIsMadeAgain,
    ],
)
async def test_what_a_failed_step_leaves_ends_before_it_is_undone(kind):
    """It would count down once more after the undo had set the count back."""
    environment = kind()
    await environment.reset(seed=1)
    await environment.step("go")
    for _ in range(2):
        assert not (await environment.step("go", by=7)).success
        made = [[] for _ in range(50_000)]  # so that whatever can be collected is
        assert (environment.status, environment.count) == (HarnessStatus.ACTIVE, 0)
    assert made
    assert (await environment.step("go")).observation.content == "at 2"


async def test_a_failed_step_leaves_alone_what_its_player_was_handling():
    """A player that tries something else after its own mistake would have lost its plan, and its tools."""
    environment, kept, plans = AnArgument(), [], []
    await environment.reset(seed=1)

    def think(plan):
        raise KeyError(plan)

    def tool():
        for count in itertools.count():
            try:
                yield count
            except KeyError as error:
                kept.append(error)

    ready = tool()
    next(ready)
    ready.throw(KeyError("a mistake"))
    try:
        think("go on")
    except KeyError as error:
        assert not (await environment.step("go", by=7)).success
        plans.append(error.__traceback__.tb_next.tb_frame.f_locals)
    assert plans == [{"plan": "go on"}]
    try:
        raise kept[0]
    except KeyError:
        assert not (await environment.step("go", by=7)).success
    assert next(ready) == 2
