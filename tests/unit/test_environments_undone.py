"""Whether environments go on after a failed action as if there had been none, whatever they are made of."""

import dataclasses
import itertools
import shutil
import tempfile
import weakref
import zlib
from pathlib import Path

import pytest

from shiftwork.environments import ActionResult, HarnessStatus, Observation
from tests.unit.walking import Awake, History, Part, Walk

NOWHERE = object()


class Counts(Walk):
    """It changes something, however it holds it, and then takes the action or fails."""

    async def reset(self, seed=None):
        self.begin()
        return self.seen()

    async def step(self, action, by=1):
        self.change()
        if by == 7:
            raise OSError("the line is down")
        return ActionResult(success=by != 8, observation=self.seen())

    def seen(self):
        return Observation(content=str(self.read()))


class Scores(Counts):
    """It has a score, wherever that is held."""

    def begin(self):
        self.score = 0

    def change(self):
        self.score += 1

    def read(self):
        return self.score


class WithSlot(Scores):
    __slots__ = ("score",)


@dataclasses.dataclass(slots=True)
class SlotsAlone(Scores):
    score: int = 0

    def __post_init__(self):
        Walk.__init__(self)


class Parent(Counts):
    """Its parts know each other weakly."""

    def begin(self):
        self.root = Part()
        self.here = Part(self.root)
        self.known = weakref.WeakValueDictionary(root=self.root)

    def change(self):
        self.here.of().count += 1
        self.known["root"].count += 1

    def read(self):
        return self.root.count


class ByIdentity(Counts):
    """It knows its parts by what only they are."""

    def begin(self):
        self.part, self.place, self.pair = Part(), NOWHERE, ([0],)
        self.visits = {id(self.part): 0, id(self.pair): 0}

    def change(self):
        self.visits[id(self.part)] += 1
        self.visits[id(self.pair)] += 1

    def read(self):
        return f"{self.visits[id(self.part)]} {self.visits[id(self.pair)]} {self.place is NOWHERE}"


class Draws(Counts):
    """A function of it closes over its board."""

    def begin(self):
        board = self.board = {"count": 0}
        self.draw = lambda: board["count"]

    def change(self):
        self.board["count"] += 1

    def read(self):
        return self.draw()


class View(Counts):
    """It changes its board by a view of it."""

    def begin(self):
        numpy = pytest.importorskip("numpy")
        self.board = numpy.zeros((3, 3))
        self.row = self.board[0]
        self.chance = numpy.random.default_rng(self.random.randrange(99))
        self.drawn = 0

    def change(self):
        self.row[0] += 1
        self.drawn = int(self.chance.integers(1_000))

    def read(self):
        return f"{self.board[0, 0]} {self.drawn}"


class Cached:
    def __init__(self):
        self.count, self.cache = 0, {}

    def __getstate__(self):
        return {"count": self.count}


class LeavesOut(Counts):
    """A part of it says that its cache is not to be copied."""

    def begin(self):
        self.part = Cached()

    def change(self):
        self.part.count += 1
        self.part.cache[self.part.count] = True

    def read(self):
        return self.part.count


class Keeps(Counts):
    """It keeps files in a folder that goes with the object that made it."""

    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.count = 0

    def change(self):
        self.count += 1
        Path(self.folder.name, "count").write_text(str(self.count))

    def read(self):
        return f"{self.count} {Path(self.folder.name).is_dir()}"

    async def shutdown(self):
        self.folder.cleanup()


class Team(set):
    """Made of more than its members."""

    def __init__(self, name, members=()):
        super().__init__(members)
        self.name = name


class OwnKinds(Counts):
    """What it has are containers of its own kinds."""

    def begin(self):
        self.team, self.told = Team("red", ["ann", "bob"]), History()
        self.told["a"] = 1
        self.captain = weakref.ref(self.team)

    def change(self):
        self.team.add(f"new {len(self.team)}")
        self.told[f"b{len(self.told)}"] = 2

    def read(self):
        return f"{len(self.captain())} {self.team.name} {self.told.order} {dict.__repr__(self.told)}"


class SameMembers(Counts):
    """Two sets with the same members, one of which the member knows."""

    def begin(self):
        self.hero = Part()
        self.team, self.awake = {self.hero}, {self.hero}
        self.hero.team = (self.team, 1)

    def change(self):
        self.awake.clear()
        self.hero.count += 1
        self.team.add(self.hero.count)

    def read(self):
        return f"{len(self.hero.team[0])} {len(self.awake)} {len(self.team)}"


class Free(Counts):
    """It takes the next free cell, in the order in which the set has them."""

    def begin(self):
        self.free = {(x, y) for x in range(6) for y in range(6)}
        for cell in list(self.free)[:20]:
            self.free.discard(cell)
        self.cell = None

    def change(self):
        self.cell = self.free.pop()

    def read(self):
        return f"{self.cell} {list(self.free)}"


class Proxied(Counts):
    """A part changes another one, which it refers to weakly."""

    def begin(self):
        self.root, self.here = Part(), Part()
        self.here.parent = weakref.proxy(self.root)

    def change(self):
        self.here.parent.count += 1

    def read(self):
        return self.root.count


class Deals(Counts):
    """It deals from a pack that an action shuffles anew."""

    def begin(self):
        self.pack = list(range(9))
        self.coming = iter(self.pack)
        self.card = next(self.coming)

    def change(self):
        self.card = next(self.coming)
        self.pack[-1:] = []

    def read(self):
        return f"{self.card} {self.pack}"


class Turns(Counts):
    """Whose turn it is says something of which only Python knows where it is."""

    def begin(self):
        self.turns = itertools.cycle("abc")
        self.now = next(self.turns)

    def change(self):
        self.now = next(self.turns)

    def read(self):
        return self.now


class Packs(Counts):
    """What it told is packed as it comes."""

    def begin(self):
        self.packer, self.packed = zlib.compressobj(), b""

    def change(self):
        self.packed += self.packer.compress(b"told") + self.packer.flush(zlib.Z_SYNC_FLUSH)

    def read(self):
        return self.packed.hex()


class Asleep:
    word = "asleep"


class Falls(Counts):
    """A state is a class, of a part and of the environment."""

    def begin(self):
        self.hero = Awake()
        self.known = weakref.WeakValueDictionary(hero=self.hero)

    def change(self):
        self.hero.__class__ = Asleep if isinstance(self.hero, Awake) else Awake
        self.__class__ = type("Other", (Falls,), {})

    def read(self):
        return f"{self.known['hero'].word} {type(self).__name__}"


class Named(Counts, dict):
    """It is itself what holds its state."""

    def begin(self):
        self.clear()
        self["count"] = 0

    def change(self):
        self["count"] += 1

    def read(self):
        return self["count"]


class Grid(Counts):
    """Cells that know the grid that they are in."""

    def begin(self):
        numpy = pytest.importorskip("numpy")
        self.grid = numpy.empty((2, 2), dtype=object)
        for place in numpy.ndindex(2, 2):
            self.grid[place] = Part()
            self.grid[place].grid = self.grid
        self.seed_of = numpy.random.default_rng(self.random.randrange(99))
        self.drawn = 0

    def change(self):
        cell = self.grid[0, 0]
        cell.grid[1, 1] = Part()
        cell.count += 1
        self.drawn = int(self.seed_of.spawn(1)[0].integers(1_000_000))

    def read(self):
        return f"{[cell.count for cell in self.grid.flat]} {self.grid[1, 1] is self.grid[0, 0]} {self.drawn}"


class Scratch:
    """What goes with it is gone once there is none any more."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp())

    def __del__(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Scratches(Counts):
    def begin(self):
        self.scratch, self.count = Scratch(), 0

    def change(self):
        self.count += 1

    def read(self):
        return f"{self.count} {self.scratch.folder.is_dir()}"


class Cleans(Counts):
    """What a step entered writes at its end."""

    def begin(self):
        self.count = 0

    def going(self):
        try:
            yield
        finally:
            self.count = -1

    async def step(self, action, by=1):
        if by > 6:
            coming = self.going()
            next(coming)
            raise OSError("the line is down")
        return await super().step(action, by)

    def change(self):
        self.count += 1

    def read(self):
        return self.count


@pytest.mark.parametrize(
    "kind",
    [
        *(WithSlot, SlotsAlone, Parent, ByIdentity, Draws, View, LeavesOut, Keeps),
        *(OwnKinds, SameMembers, Free, Proxied, Deals, Turns, Packs, Falls, Named, Grid, Scratches, Cleans),
    ],
    ids=lambda kind: kind.__name__,
)
async def test_what_only_its_own_objects_can_do_works_after_a_failed_action(kind):
    """A player would go on in a game that is in pieces, or that has moved on."""
    environment, untouched = kind(), kind()
    for each in (environment, untouched):
        await each.reset(seed=3)
        await each.step("go")
    for by in (7, 8):
        assert not (await environment.step("go", by=by)).success
        assert environment.status is HarnessStatus.ACTIVE
        assert environment.seen() == untouched.seen()
    taken = await environment.step("go")
    assert (taken.error, taken.observation) == (None, (await untouched.step("go")).observation)
    for each in (environment, untouched):
        await each.shutdown()


class Numbered:
    """It is found by its number, which may change."""

    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return hash(self.number)

    def __eq__(self, other):
        return isinstance(other, Numbered) and other.number == self.number


class Astray(Counts):
    """What its containers hold changed its number before, and is not found by it any more."""

    async def reset(self):
        self.begin()
        return self.seen()

    def begin(self):
        self.all = [Numbered(number) for number in range(6)]
        self.chosen, self.named = set(self.all), dict.fromkeys(self.all, 0)
        for each in self.all:
            each.number = 10 - each.number
        self.steps = 0

    def change(self):
        self.steps += 1
        self.all[5].number += 1

    def read(self):
        found = [(each in self.chosen, each in self.named) for each in self.all]
        return found, [each.number for each in (*self.chosen, *self.named)]


async def test_what_was_not_found_before_a_failed_action_is_not_found_after_it():
    """A mistake of an environment would be gone after a failed action, and the episode be another one."""
    environment, untouched = Astray(), Astray()
    for each in (environment, untouched):
        await each.reset()
        await each.step("go")
    assert not (await environment.step("go", by=7)).success
    assert environment.status is HarnessStatus.ACTIVE
    assert environment.seen() == untouched.seen()
    environment.named[environment.all[0]] = 1
    assert not (await environment.step("go", by=7)).success
    assert environment.status is HarnessStatus.ACTIVE


class Leaving:
    """As a key it ends the process, once it is told to."""

    ends = False

    def __hash__(self):
        if Leaving.ends:
            Leaving.ends = False
            raise SystemExit(4)
        return 1


async def test_what_ends_the_process_in_an_undo_is_a_failure_of_the_environment():
    """It would end the play with an episode that seems to go on, and that has lost what it held."""

    class Ends(Counts):
        def begin(self):
            self.known = {Leaving(): 1}

        def change(self):
            self.steps = 1

        def read(self):
            return len(self.known)

        async def step(self, action, by=1):
            if by == 7:
                self.known.clear()
                Leaving.ends = True
            return await super().step(action, by)

    environment = Ends()
    await environment.reset(seed=1)
    assert "the line is down" in (await environment.step("go", by=7)).error
    assert environment.status is HarnessStatus.ACTIVE
    assert (await environment.step("go")).observation.content == "1"


async def test_an_environment_within_another_is_put_back_where_it_is():
    """Who looks into the inner one would look into another game after a failed action."""

    class Wrapper(Counts):
        def begin(self):
            self.inner = Walk()

        async def reset(self, seed=None):
            self.inner = Walk()
            return await self.inner.reset()

        async def step(self, action, by=1):
            result = await self.inner.step(action, by=by)
            return result.model_copy(update={"success": by != 8})

    wrapper = Wrapper()
    await wrapper.reset()
    inner = wrapper.inner
    await wrapper.step("go")
    assert not (await wrapper.step("go", by=8)).success
    assert wrapper.inner is inner
    assert (inner.place, inner.get_stats().total_steps) == (1, 1)
    assert (await inner.step("go")).success
