"""Whether what an action that failed leaves in the event loop ends before it is undone."""

import asyncio
import contextlib
import sys

import pytest

from shiftwork.environments import ActionResult, HarnessStatus
from shiftwork.errors import EnvironmentFailed
from tests.unit.walking import Walk

FAILS, IS_REFUSED, HANGS = 7, 8, 9


class Leaves(Walk):
    """An action begins something, and is then taken, fails, is refused or takes too long."""

    async def reset(self, seed=None):
        self.count = 0
        return await super().reset()

    async def step(self, action, by=1):
        if by == 1:
            self.place += self.count
            return await super().step(action, by)
        self.count += 1
        await self.leave()
        if by == IS_REFUSED:
            return ActionResult(success=False, observation=self.seen())
        await asyncio.sleep(9 if by == HANGS else 0)
        raise OSError("the line is down")

    async def late(self):
        await asyncio.sleep(0.02)
        self.count += 1

    async def ticks(self):
        try:
            while True:
                yield self.count
        finally:
            await asyncio.sleep(0.001)
            self.count -= 1


class AGenerator(Leaves):
    async def leave(self):
        async for _ in self.ticks():
            break


class AHeldGenerator(Leaves):
    async def leave(self):
        self.held = self.ticks()
        await anext(self.held)


class AGeneratorInACycle(Leaves):
    async def leave(self):
        mine = [self.ticks()]
        mine.append(mine)
        await anext(mine[0])


class AGeneratorOfATask(Leaves):
    async def leave(self):
        async def watch():
            async for _ in self.ticks():
                await asyncio.sleep(0.01)

        self.watching = asyncio.create_task(watch())
        await asyncio.sleep(0)


class ATask(Leaves):
    async def leave(self):
        self.task = asyncio.create_task(self.late())


class ATaskWithAnother(Leaves):
    async def leave(self):
        async def early():
            try:
                await asyncio.sleep(9)
            finally:
                self.task = asyncio.ensure_future(self.late())

        self.task = asyncio.ensure_future(early())
        await asyncio.sleep(0)


class AShieldedTask(Leaves):
    async def leave(self):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.late()), 0.001)


class Several(Leaves):
    async def leave(self):
        async def bad():
            raise OSError("the line is down")

        await asyncio.gather(bad(), self.late(), return_exceptions=False)


class ACallback(Leaves):
    async def leave(self):
        def soon():
            self.count += 1
            loop.call_soon(setattr, self, "count", 100)

        loop = asyncio.get_running_loop()
        loop.call_soon(soon)


class CallbackByCallback(Leaves):
    async def leave(self):
        def soon(more):
            self.count += 1
            if more:
                loop.call_soon(soon, more - 1)

        loop = asyncio.get_running_loop()
        loop.call_soon(soon, 20)


@pytest.mark.parametrize("how", [FAILS, IS_REFUSED, HANGS], ids=["fails", "refused", "hangs"])
@pytest.mark.parametrize("kind", Leaves.__subclasses__(), ids=lambda kind: kind.__name__)
async def test_what_an_action_left_in_the_event_loop_changes_nothing_after_the_undo(kind, how):
    """An episode would be changed by an action that the player was told was not taken."""
    environment = kind(step_timeout_seconds=0.05)
    await environment.reset(seed=1)
    for _ in range(2):
        assert not (await environment.step("go", by=how)).success
        await asyncio.sleep(0.05)
        assert (environment.count, environment.status) == (0, HarnessStatus.ACTIVE)
    assert (await environment.step("go")).observation.content == "at 1"
    assert environment.step_timeout_seconds == 0.05


async def test_tasks_of_others_go_on_when_an_action_fails():
    """One failed action would end the player, or what the environment began for good."""

    class Ticks(ATask):
        async def step(self, action, by=1):
            if by == 2:
                self.own = asyncio.create_task(asyncio.sleep(0.05, "own"))
                return await super().step(action)
            if by == FAILS:
                await asyncio.wait([players], timeout=0.01)
                players.add_done_callback(self.tell)
            return await super().step(action, by)

        def tell(self, _):
            pass

    players = asyncio.create_task(asyncio.sleep(0.05, "the player's"))
    environment = Ticks()
    await environment.reset()
    assert (await environment.step("go", by=2)).success
    own = environment.own
    failing = asyncio.create_task(environment.step("go", by=FAILS))
    await asyncio.sleep(0)
    meanwhile = asyncio.create_task(asyncio.sleep(0.05, "meanwhile"))
    assert not (await failing).success
    assert await asyncio.gather(own, players, meanwhile) == ["own", "the player's", "meanwhile"]


async def test_what_an_action_left_and_does_not_end_is_told_and_the_environment_broken():
    """A player would go on in a world in which somebody else acts, too."""

    class Stays(Leaves):
        async def leave(self):
            async def stay():
                while not over.is_set():
                    try:
                        await over.wait()
                    except asyncio.CancelledError:
                        self.count += 1

            self.task = asyncio.create_task(stay())
            await asyncio.sleep(0)

    over = asyncio.Event()
    for how, why in ((FAILS, "OSError: the line is down"), (IS_REFUSED, "action 'go' was not taken")):
        environment = Stays()
        environment.undo_seconds = 0.1
        await environment.reset()
        failed = await environment.step("go", by=how)
        assert failed.error.endswith(
            f"{why}; what it began did not end when it was cancelled, so it could not be undone"
        )
        assert environment.status is HarnessStatus.ERROR
        assert "call reset" in (await environment.step("go")).error
    over.set()


async def test_what_has_itself_called_without_an_end_is_told_and_the_environment_broken():
    """It would change the environment at any time after the undo."""

    class Ticks(Leaves):
        async def leave(self):
            def tick():
                self.count += 1
                if not over:
                    loop.call_soon(tick)

            loop = asyncio.get_running_loop()
            tick()

    over = []
    environment = Ticks()
    environment.undo_seconds = 0.1
    await environment.reset()
    failed = await environment.step("go", by=FAILS)
    over.append(True)
    assert "did not end" in failed.error
    assert environment.status is HarnessStatus.ERROR


async def test_a_cancelled_action_leaves_nothing_that_goes_on():
    """A player that gave up waiting would find another world than the one it knows."""
    environment = ATask()
    await environment.reset()
    step = asyncio.create_task(environment.step("go", by=HANGS))
    await asyncio.sleep(0.005)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    await asyncio.sleep(0.05)
    assert (environment.count, environment.status) == (0, HarnessStatus.ACTIVE)


async def test_a_failed_reset_leaves_nothing_that_goes_on_but_what_initialize_began():
    """The episode before would be changed by one that never began, or lose the line to its server."""

    class Begins(Leaves):
        async def initialize(self):
            begun.append(asyncio.create_task(asyncio.sleep(0.05, "the line")))
            return True

        async def reset(self, seed=None, *, bad=True):
            await super().reset()
            begun.append(asyncio.create_task(self.late()))
            if bad:
                raise OSError("no")
            return self.seen()

    environment, begun = Begins(), []
    with pytest.raises(EnvironmentFailed, match=r"could not begin an episode: OSError: no$"):
        await environment.reset()
    await environment.reset(bad=False)
    with pytest.raises(EnvironmentFailed):
        await environment.reset()
    line, *others = await asyncio.gather(*begun, return_exceptions=True)
    assert (environment.count, line) == (1, "the line")
    assert [type(each) for each in others] == [asyncio.CancelledError, type(None), asyncio.CancelledError]


def test_who_watches_async_generators_still_does():
    """Event loops close at their end what they were told of: files would stay open."""
    told = []

    class Begins(AGenerator):
        async def leave(self):
            self.held = self.ticks()
            await anext(self.held)

    async def play():
        before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=lambda one: (told.append(one.__name__), before.firstiter(one)))
        environment = Begins()
        await environment.reset()
        await environment.step("go", by=FAILS)
        environment.held = environment.ticks()
        await anext(environment.held)
        return environment

    hooks = sys.get_asyncgen_hooks()
    assert asyncio.run(play()).count == -1
    assert told.count("ticks") == 2
    assert sys.get_asyncgen_hooks() == hooks


async def test_what_ends_with_the_error_ends_before_the_undo():
    """Whatever cleans up after itself would clean up once more than it was begun."""

    class CleansUpError(OSError):
        def __del__(self):
            self.of.count -= 1

    class Raises(Leaves):
        async def leave(self):
            error = CleansUpError("the line is down")
            error.of = self
            raise error

    environment = Raises()
    await environment.reset()
    assert "CleansUpError: the line is down" in (await environment.step("go", by=FAILS)).error
    assert environment.count == 0
