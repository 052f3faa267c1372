"""Environments that each break one rule, for the conformance suite to be held against."""

import asyncio
import random
import time
import weakref
from copy import deepcopy

from shiftwork.environments import ActionDefinition, ActionResult, BaseHarness, EpisodeStats, Observation

AMOUNT = {"amount": {"type": "integer", "minimum": 1, "maximum": 3}}


class Sound(BaseHarness):
    """Climbs to the target, which is drawn; nothing is wrong with it. The others change one thing."""

    def __init__(self, name="sound", **limits):
        super().__init__(name, "Climb to the target.", **{"max_steps": 12, **limits})
        self.target = 0
        self.height = 0
        self.path = []

    async def reset(self, seed=0):
        self.target = self.random.randint(8, 30)
        self.height = 0
        self.path = []
        return self.seen()

    async def step(self, action, **parameters):
        self.height += parameters.get("amount", 0) + self.random.randint(0, 1)
        self.path.append(self.height)
        if action == "rest" and self.height > self.target - 2:
            return ActionResult(success=False, observation=self.seen(), error="there is no place to rest")
        return ActionResult(observation=self.seen(), reward=self.height / self.target)

    def get_action_space(self):
        return [ActionDefinition(name="climb", parameters=deepcopy(AMOUNT)), ActionDefinition(name="rest")]

    async def get_observation(self):
        return self.seen()

    def seen(self):
        return Observation(
            content={"height": self.height, "path": list(self.path)},
            content_type="json",
            metadata={"target": self.target},
            terminated=self.height >= self.target > 0,
        )


class TwoPlayers(Sound):
    """Sound, with two agents in turn."""

    agents = ("red", "blue")
    turn = 0

    async def reset(self, seed=0):
        self.turn = 0
        return await super().reset(seed)

    async def step(self, action, **parameters):
        self.turn = 1 - self.turn
        result = await super().step(action, **parameters)
        return result.model_copy(update={"rewards": {"red": 1.0, "blue": -1.0}})

    def seen(self):
        return super().seen().model_copy(update={"agent": self.agents[self.turn]})


class WithoutSeed(Sound):
    """Sound, though it takes no seed and waits in each step."""

    async def reset(self):
        return await super().reset()

    async def step(self, action, **parameters):
        await asyncio.sleep(0)
        return await super().step(action, **parameters)


class WithoutChance(Sound):
    """Sound: nothing is drawn in it, and so it needs no seed."""

    async def reset(self):
        self.target, self.height, self.path = 9, 0, []
        return self.seen()

    async def step(self, action, **parameters):
        self.height += parameters.get("amount", 0)
        self.path.append(self.height)
        return ActionResult(observation=self.seen(), reward=1.0)


class CountsOn(WithoutChance):
    """Without chance or seed, and its reset leaves the number of steps taken."""

    taken = 0

    async def step(self, action, **parameters):
        self.taken += 1
        return await super().step(action, **parameters)

    def seen(self):
        return super().seen().model_copy(update={"metadata": {"taken": self.taken}})


class CountsForAll(WithoutChance):
    """Without chance or seed, and its class keeps the number of steps that were ever taken."""

    taken = 0

    async def step(self, action, **parameters):
        CountsForAll.taken += 1
        return await super().step(action, **parameters)

    def seen(self):
        return super().seen().model_copy(update={"metadata": {"taken": self.taken}})

    get_observation = BaseHarness.get_observation


class ThrowsADie(WithoutChance):
    """Sound: it draws without a seed, and is marked as not reproducible; two plays may agree by chance."""

    async def reset(self):
        await super().reset()
        self.target = random.SystemRandom().randint(9, 14)
        return self.seen()


class Uncopyable(Sound):
    """Sound: it can't be put back, and is made again from its seed."""

    async def reset(self, seed=0):
        self.turns = (turn for turn in "ab")
        return await super().reset(seed)


class Node:
    """A part that refers to another without holding it."""

    score = 0


class RefersWeakly(Sound):
    """Sound: of its parts one refers to the other weakly, and counts there."""

    def __init__(self):
        super().__init__()
        self.root, self.other, self.child = Node(), Node(), Node()
        self.child.parent = weakref.proxy(self.root)

    async def reset(self, seed=0):
        self.root.score = 0
        return await super().reset(seed)

    async def step(self, action, **parameters):
        self.child.parent.score += 1
        return await super().step(action, **parameters)

    def seen(self):
        return super().seen().model_copy(update={"metadata": {"score": self.root.score}})


class RefersElsewhere(RefersWeakly):
    """Who looks at it has a part of it refer to another one, of the same content."""

    async def get_observation(self):
        self.child.parent = weakref.proxy(self.other)
        return await super().get_observation()


class ShowsTheNewest(Sound):
    """Sound: what it perceives is what the base class kept of the last step."""

    get_observation = BaseHarness.get_observation


class SaysNothing(Sound):
    async def initialize(self):
        pass


class CannotBeUsedHere(Sound):
    async def initialize(self):
        return False


class BeginsOnce(Sound):
    begun = False

    async def reset(self, seed=0):
        if self.begun:
            raise RuntimeError("already begun")
        self.begun = True
        return await super().reset(seed)


class ResetsToNothing(Sound):
    async def reset(self, seed=0):
        await super().reset(seed)


class SmallSeedsOnly(Sound):
    async def reset(self, seed=0):
        if seed > 1000:
            raise ValueError("seed too large")
        return await super().reset(seed)


class OverAtOnce(Sound):
    async def reset(self, seed=0):
        seen = await super().reset(seed)
        return seen.model_copy(update={"terminated": True, "done": True})


class OrderOfASet(Sound):
    """Other processes order it otherwise."""

    def seen(self):
        names = " ".join({"axe", "bow", "cup", "die", "elf", "fan", "gem"})
        return super().seen().model_copy(update={"metadata": {"names": names}})


class Waits(Sound):
    waits = 0
    """How many calls of all have waited."""

    async def step(self, action, **parameters):
        Waits.waits += 1
        await asyncio.sleep(3600)


class Hangs(Sound):
    async def reset(self, seed=0):
        await asyncio.sleep(3600)


class NamesTwice(Sound):
    def get_action_space(self):
        return [*super().get_action_space(), ActionDefinition(name="rest")]


class NoActions(Sound):
    def get_action_space(self):
        return []


class BadSchema(Sound):
    def get_action_space(self):
        return [ActionDefinition(name="climb", parameters={"amount": {"type": "integre"}})]


class LendsItsActions(Sound):
    def __init__(self):
        super().__init__()
        self.actions = super().get_action_space()

    def get_action_space(self):
        return self.actions


class LendsItsSchemas(Sound):
    KNOWN = {"amount": {"type": "integer", "enum": [1, 2, 3]}}

    def get_action_space(self):
        return [ActionDefinition(name="rest"), ActionDefinition(name="climb", parameters=self.KNOWN)]


class Peeks(Sound):
    async def get_observation(self):
        self.height += 1
        return self.seen()


class DrawsWhenAsked(Sound):
    def is_success(self):
        return self.random.random() < 0.5


class CannotTell(Sound):
    def get_stats(self):
        raise KeyError("stats")


class NotJson(Sound):
    async def step(self, action, **parameters):
        result = await super().step(action, **parameters)
        result.observation.metadata["when"] = object()
        return result


class NoImage(Sound):
    def seen(self):
        return Observation(content="a picture", content_type="image", terminated=super().seen().terminated)


class InfiniteReward(Sound):
    async def step(self, action, **parameters):
        result = await super().step(action, **parameters)
        result.reward = float("inf")
        return result


class OffersUnknown(Sound):
    def seen(self):
        there = [*self.get_action_space(), ActionDefinition(name="fly")]
        return super().seen().model_copy(update={"available_actions": there})


class TurnOfNobody(TwoPlayers):
    def seen(self):
        return super().seen().model_copy(update={"agent": None})


class TurnOfStrangers(TwoPlayers):
    def seen(self):
        return super().seen().model_copy(update={"agent": "green"})


class PaysStrangers(TwoPlayers):
    async def step(self, action, **parameters):
        result = await super().step(action, **parameters)
        return result.model_copy(update={"rewards": {"green": 1.0}})


class Disagrees(Sound):
    async def get_observation(self):
        return self.seen().model_copy(update={"metadata": {"target": self.height}})


class StaleView(Sound):
    async def reset(self, seed=0):
        self.first = await super().reset(seed)
        return self.first.model_copy(deep=True)

    async def get_observation(self):
        return self.first.model_copy(deep=True)


class NeverDone(Sound):
    def is_done(self):
        return False


class HalfSuccess(Sound):
    def is_success(self):
        return self.height / (self.target or 1)


class StatsOfSomethingElse(Sound):
    def get_stats(self):
        return super().get_stats().model_copy(update={"success": True})


class BehindTheGuards(Sound):
    """Its instances take their steps past the guards."""

    def __init__(self):
        super().__init__()
        self.step = self.raw_step

    async def raw_step(self, action, **parameters):
        return await Sound.step.__wrapped__(self, action, **parameters)


class LendsBehindTheGuards(BehindTheGuards):
    """What it shows is its own, and nothing makes copies of it."""

    def __init__(self):
        super().__init__()
        self.score = {"points": [0]}

    async def raw_step(self, action, **parameters):
        self.score["points"].append(1)
        return await super().raw_step(action, **parameters)

    def seen(self):
        shown = super().seen()
        shown.metadata = self.score
        return shown


class BeyondTheGuards(Sound):
    """Its instances change what the guards answer."""

    def __init__(self):
        super().__init__()
        self.step = self.changed_step

    async def changed_step(self, action, **parameters):
        return await Sound.step(self, action, **parameters)


class PaysInfinity(BeyondTheGuards):
    async def changed_step(self, action, **parameters):
        result = await super().changed_step(action, **parameters)
        return result.model_copy(update={"reward": float("inf")})


class GoesOnAfterTheEnd(BeyondTheGuards):
    async def changed_step(self, action, **parameters):
        if self.is_done():
            return ActionResult(observation=self.seen())
        return await super().changed_step(action, **parameters)


class TakesWhatIsUnknown(BeyondTheGuards):
    async def changed_step(self, action, **parameters):
        if action not in ("climb", "rest"):
            return ActionResult(observation=self.seen())
        return await super().changed_step(action, **parameters)


class ChangesWhatWasHandedOut(BeyondTheGuards):
    """It keeps what the guards gave out, and writes into it."""

    async def changed_step(self, action, **parameters):
        for each in HANDED_OUT:
            each.metadata["late"] = True
        HANDED_OUT.clear()
        result = await super().changed_step(action, **parameters)
        HANDED_OUT.append(result.observation)
        return result


HANDED_OUT = []
"""By `ChangesWhatWasHandedOut`."""


class ChangesWhatItShowed(Sound):
    async def reset(self, seed=0):
        await super().reset(seed)
        self.shown = super().seen()
        return self.shown

    async def step(self, action, **parameters):
        result = await super().step(action, **parameters)
        self.shown.content["path"].append(self.height)
        return result

    def seen(self):
        return super().seen()


class ShowsItsOwn(Sound):
    def __init__(self):
        super().__init__()
        self.score = {"points": 0}

    def seen(self):
        shown = super().seen()
        shown.metadata = self.score
        return shown


class Sleeps(Sound):
    async def step(self, action, **parameters):
        time.sleep(0.06)  # noqa: ASYNC251 - what nobody should do
        return await super().step(action, **parameters)


class Stumbles(Sound):
    async def step(self, action, **parameters):
        result = await super().step(action, **parameters)
        if parameters.get("amount") == 3:
            raise ZeroDivisionError("nobody climbs three")
        return result


class SharesPath(Sound):
    everybody = []

    async def reset(self, seed=0):
        self.everybody.clear()
        return await super().reset(seed)

    async def step(self, action, **parameters):
        self.everybody.append(1)
        return await super().step(action, **parameters)

    def seen(self):
        return super().seen().model_copy(update={"metadata": {"steps": len(self.everybody)}})


class SharedRandom(Sound):
    """Draws from the generator that everybody uses, though it seeds it."""

    async def reset(self, seed=0):
        random.seed(seed)
        return await super().reset(seed)

    async def step(self, action, **parameters):
        self.height += random.randint(0, 3)
        return await super().step(action, **parameters)


class DrawsElsewhere(Sound):
    async def step(self, action, **parameters):
        self.height += random.SystemRandom().randint(0, 3)
        return await super().step(action, **parameters)


class Clock(Sound):
    def __init__(self):
        super().__init__()
        self.now = 0

    async def reset(self, seed=0):
        self.now = time.monotonic_ns()
        return await super().reset(seed)

    def seen(self):
        return super().seen().model_copy(update={"metadata": {"now": self.now}})


class Forgets(Sound):
    """Its reset leaves the bonus of the episode before."""

    bonus = 0

    async def step(self, action, **parameters):
        self.bonus += 1
        self.height += self.bonus // 6
        return await super().step(action, **parameters)


class KeepsElsewhere(Sound):
    """A function of it has what it wrote, where nobody else can put anything back."""

    async def reset(self, seed=0):
        lines = []

        def write(line):
            lines.append(line)
            return len(lines)

        self.write, self.written = write, 0
        return await super().reset(seed)

    async def step(self, action, **parameters):
        self.written = self.write(action)
        return await super().step(action, **parameters)

    def seen(self):
        written = vars(self).get("written", 0)
        return super().seen().model_copy(update={"metadata": {"lines": written}})


class CannotUndo(Sound):
    async def reset(self):
        self.turns = (turn for turn in "ab")
        self.random = random.Random(5)  # its own: nobody can know that it makes the same again
        return await super().reset()


class CountsErrors(Sound):
    """Wrong actions cost height: its action space is asked for whenever one is judged."""

    asked = 0

    def get_action_space(self):
        self.asked += 1
        return super().get_action_space()


class WontShutDown(Sound):
    async def shutdown(self):
        raise OSError("still busy")


class NeedsToHaveBegun(Sound):
    async def reset(self, seed=0):
        self.connection = [seed]
        return await super().reset(seed)

    async def shutdown(self):
        self.connection.clear()


class LeavesTask(Sound):
    async def initialize(self):
        self.ended = asyncio.Event()
        asyncio.get_running_loop().call_soon(self.watch)
        return True

    def watch(self):
        KEPT.append(asyncio.get_running_loop().create_task(asyncio.sleep(600), name="watcher"))


KEPT = []
"""The tasks of `LeavesTask`, for the test to end."""


class CountsWrongly(Sound):
    """Sound: what it counts itself does not count."""

    def get_stats(self):
        self_counted = super().get_stats()
        return EpisodeStats(total_steps=99, success=self_counted.success)


class RefersBack(Sound):
    """Sound: a part of it knows the whole."""

    def __init__(self):
        super().__init__()
        self.rules = [self.seen, {"of": self}]


class AsksForPattern(Sound):
    """Sound, with an action that chance can't find the parameters of."""

    def get_action_space(self):
        spell = {"word": {"type": "string", "pattern": "^[A-H][1-8]{7}$"}}
        return [*super().get_action_space(), ActionDefinition(name="spell", parameters=spell)]


class Endless(Sound):
    """Sound, without a limit; resting leads nowhere, and chance mostly rests."""

    def __init__(self):
        super().__init__("endless", max_steps=None)

    def get_action_space(self):
        rests = [ActionDefinition(name=f"rest {number}") for number in range(25)]
        return [ActionDefinition(name="climb", parameters=deepcopy(AMOUNT)), *rests]

    async def step(self, action, **parameters):
        if action == "climb":
            return await super().step(action, **parameters)
        return ActionResult(observation=self.seen())
