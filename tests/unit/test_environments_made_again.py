"""Whether an episode that is made again after a failed action is the one that was."""

import datetime as dt
import functools
import itertools
import operator
import queue
import re
import threading
import time
import uuid
import weakref

import numpy as np
import pytest

from shiftwork.environments import HarnessStatus
from tests.unit.walking import Walk


class Hides(Walk):
    """It holds more than it shows, and is asked for a failure by the number 7."""

    def __init__(self):
        super().__init__()
        self.begin()

    def begin(self):
        """What it has but once."""

    def make(self):
        """What each reset makes."""

    async def reset(self, seed=None):
        self.make()
        return await super().reset()

    async def step(self, action, by=1):
        if by == 7:
            self.fail()
            raise OSError("the line is down")
        return await super().step(action, by)

    def fail(self):
        """What a failed step leaves."""


class WithSet(Hides):
    """All is put back but for the order of a set, so it is made again."""

    def make(self):
        self.tried = {1, 2, 3}
        self.tried.pop()  # where the next pop begins can't be put back
        self.hidden = self.hide()

    def fail(self):
        self.tried.add(4)


class AToken(WithSet):
    def hide(self):
        return uuid.uuid4().hex


class ACount(WithSet):
    def begin(self):
        self.count = 0

    def hide(self):
        self.count += 1
        return self.count


class InAList(WithSet):
    def hide(self):
        return [[uuid.uuid4()], (uuid.uuid4(),)]


class InAFunction(WithSet):
    def hide(self):
        token = uuid.uuid4()
        return lambda: token


class InAnArray(WithSet):
    def hide(self):
        return np.random.default_rng().random(3)


class InASet(WithSet):
    def hide(self):
        return {uuid.uuid4()}


class InAGenerator(WithSet):
    def hide(self):
        return np.random.default_rng()


class InABuffer(WithSet):
    def hide(self):
        return bytearray(uuid.uuid4().bytes)


class ASharedPart(WithSet):
    """In the first episode one object is in both places."""

    resets = 0

    def hide(self):
        ASharedPart.resets += 1
        part = [1]
        return [part, part if ASharedPart.resets == 1 else [1]]


@pytest.mark.parametrize(
    "kind",
    [AToken, ACount, InAList, InAFunction, InAnArray, InASet, InAGenerator, InABuffer, ASharedPart],
)
async def test_what_comes_out_otherwise_is_put_back_instead(kind):
    """The episode would go on with another secret than it began with, and nobody would know."""
    environment = kind()
    await environment.reset(seed=1)
    await environment.step("go")
    hidden, tried = environment.hidden, environment.tried
    assert not (await environment.step("go", by=7)).success
    assert environment.status is HarnessStatus.ACTIVE
    assert environment.hidden is hidden
    assert environment.tried is tried
    assert tried == {2, 3}


class WithALock(Hides):
    """Nobody knows what its lock holds, so it is made again."""

    def begin(self):
        self.lock = threading.Condition()
        self.left = []


class Sound(WithALock):
    """It makes the same of all kinds of things."""

    def make(self):
        self.grid = np.arange(6).reshape(2, 3)
        self.row = self.grid[1]
        self.draws = np.random.default_rng(3)
        self.more = {"tuple": (1, [2.5], float("nan")), "set": {(1, 2), "a", frozenset({3})}, None: self}
        self.more["itself"] = self.more
        self.turns = iter([1, 2, 3])
        next(self.turns)
        self.way = lambda: self.more
        self.deep = ()
        for _ in range(60):
            self.deep = (self.deep, self.deep)
        self.part = Walk()
        self.back = weakref.ref(self.part)
        self.rows = [self.part.step, self.more, print, Walk, object()]
        self.line = queue.Queue()
        self.records = np.array([("a", [1])], dtype=[("name", "U1"), ("held", object)])


class Reads(WithALock):
    """It reads a clock, as what is made again does at another time."""

    def make(self):
        self.began = time.monotonic()


class Leaves(WithALock):
    """A failed step leaves what no reset takes away."""

    def fail(self):
        self.left.append(1)
        self.further = 1


class FillsLater(WithALock):
    """It is asked for what it makes when it is first asked for."""

    def make(self):
        self.known = None

    def get_action_space(self):
        self.known = super().get_action_space()
        return self.known


class Calls(WithALock):
    """It holds functions that know themselves, and others that know what nothing else does."""

    def make(self):
        def down(count):
            return down(count - 1) if count else later

        @functools.lru_cache
        def up(count):
            return up(count - 1) + 1 if count else 0

        self.functions = [down, up, lambda: [Part(up(3))]]
        part = Part(1)
        self.functions += [
            lambda: part,
            lambda found=[part]: found,
            operator.itemgetter(1),
            operator.attrgetter("a"),
        ]
        self.matched = re.match("(a)b", "abc")
        self.proxy = weakref.proxy(self)
        if self.place < 0:
            later = 1


class Part:
    """No other one is equal to it."""

    def __init__(self, count):
        self.count = count
        self.others = set()
        self.known = None


class InSets(WithALock):
    """Its sets hold what no hash tells again."""

    def make(self):
        parts = [Part(count // 3) for count in range(12)]
        for one, other in itertools.pairwise(parts):
            one.others |= {other, (other, 1), frozenset({one})}
            other.known = one
        self.parts = set(parts)
        self.last = {parts[-1]}
        self.numbers = {Part([1 << (2000 + count)]) for count in range(12)}
        self.days = {Part(dt.datetime.min + dt.timedelta(days=count)) for count in range(12)}  # noqa: DTZ901
        self.known = weakref.WeakSet(parts)
        self.functions = {lambda: parts, self.seen_of(parts[3])}

    def seen_of(self, part):
        return lambda: part


class Empty:
    __slots__ = ()


class Nothing(WithALock):
    """What is like nothing, not even like itself."""

    def make(self):
        self.nothing = [np.float32("nan"), np.datetime64("NaT"), complex("nan"), {float("nan")}, Empty()]


class InChains(WithALock):
    """A set within a set, and so on: each element can be like one other alone."""

    def make(self):
        self.first = last = Part(0)
        for count in range(3_000):
            later = Part(count)
            last.others = {later}
            last = later


class OfTheDead(WithALock):
    """What it refers to has gone; who asks what that is gets an error for an answer."""

    def make(self):
        self.gone = weakref.proxy(Part(0))


class ReadsDates(WithALock):
    """It reads a clock, in forms that may be anything."""

    def make(self):
        self.read = [dt.datetime.now(), dt.datetime.now(dt.UTC), time.time_ns(), time.perf_counter_ns()]  # noqa: DTZ005


@pytest.mark.parametrize(
    "kind", [Sound, Reads, ReadsDates, Leaves, FillsLater, Calls, InSets, InChains, OfTheDead, Nothing]
)
async def test_what_comes_out_the_same_goes_on(kind):
    """A play would end for what says nothing of it."""
    environment = kind()
    await environment.reset(seed=1)
    await environment.step("go")
    assert not (await environment.step("go", by=7)).success
    assert environment.status is HarnessStatus.ACTIVE
    assert (environment.left, hasattr(environment, "further")) == ([], False)
    assert (await environment.step("go")).observation.content == "at 2"


class Token(WithALock):
    def make(self):
        self.token = uuid.uuid4()


class Carries(WithALock):
    def begin(self):
        super().begin()
        self.games = 0

    def make(self):
        self.games += 1


class OnePartOther(WithALock):
    """Of parts that no hash tells, one is another."""

    def make(self):
        self.parts = {Part(count or uuid.uuid4()) for count in range(5)}


class EndsOtherwise(InChains):
    """At the end of a chain of sets there is something else."""

    def make(self):
        super().make()
        part = self.first
        while part.others:
            (part,) = part.others
        part.count = uuid.uuid4()


class Defaults(WithALock):
    def make(self):
        drawn = uuid.uuid4()
        self.function = lambda token=drawn: token


class InsideAFunction(WithALock):
    def make(self):
        tokens = [uuid.uuid4()]
        self.function = lambda: tokens


class Getters(WithALock):
    def make(self):
        self.getter = operator.itemgetter(uuid.uuid4())


@pytest.mark.parametrize(
    "kind", [Token, Carries, OnePartOther, EndsOtherwise, Defaults, InsideAFunction, Getters]
)
async def test_what_comes_out_otherwise_and_can_not_be_put_back_is_called_broken(kind):
    """The episode would go on with another secret than it began with, and nobody would know."""
    environment = kind()
    await environment.reset(seed=1)
    await environment.step("go")
    assert not (await environment.step("go", by=7)).success
    assert environment.status is HarnessStatus.ERROR
