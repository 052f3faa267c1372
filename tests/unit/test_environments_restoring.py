"""Whether what an environment holds stays the objects that it is, when a failed action is undone."""

import collections
import dataclasses
import gc
import io
import sys
import tempfile
import threading
import weakref
from pathlib import Path

import pytest

from shiftwork.environments import ActionResult, HarnessStatus, Observation
from shiftwork.environments.restoring import Snapshot
from tests.unit.walking import Walk

NOWHERE = object()


class Part:
    """Of an environment; it may know of another one."""

    def __init__(self, of=None):
        self.of = of and weakref.ref(of)
        self.count = 0


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


@pytest.mark.parametrize(
    "kind",
    [WithSlot, SlotsAlone, Parent, ByIdentity, Draws, View, LeavesOut, Keeps],
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


def test_every_kind_of_content_is_written_into_the_object_that_held_it():
    """Another holder of the same list would see what a failed action left in it."""
    held = Part()
    held.rows = [[1], {2}]
    held.same = (held.rows, (held.rows[0],))
    held.more = {
        "ordered": collections.OrderedDict(a=held.rows),
        "default": collections.defaultdict(list, a=[1]),
        "deque": collections.deque([1, 2], maxlen=2),
        "bytes": bytearray(b"ab"),
        "turns": iter(held.rows),
        "add": held.rows.append,
    }
    was = {**held.more, "rows": held.rows, "same": held.same}
    snapshot = Snapshot(held)

    held.rows[0].append(9)
    held.rows[1].clear()
    held.rows.append(3)
    held.more["ordered"]["b"] = 1
    held.more["default"]["b"].append(4)
    held.more["deque"].append(5)
    held.more["bytes"] += b"cd"
    next(held.more["turns"])
    del held.same
    held.new = held.rows
    held.more = {}

    snapshot.put_back()
    assert held.rows == [[1], {2}]
    assert held.more["ordered"] == {"a": held.rows}
    assert dict(held.more["default"]) == {"a": [1]}
    assert list(held.more["deque"]) == [1, 2]
    assert held.more["bytes"] == b"ab"
    assert not hasattr(held, "new")
    now = {**held.more, "rows": held.rows, "same": held.same}
    assert {name for name in was if now[name] is not was[name]} <= {"turns", "add"}
    held.more["add"](5)
    assert list(held.more["turns"]) == [[1], {2}, 5]  # made again, of the same list


def test_what_can_not_be_copied_is_said():
    """It would be put back to something that it never was."""
    held = Part()
    held.lock = threading.Lock()
    with pytest.raises(TypeError):
        Snapshot(held)


class WithLock:
    """As the documentation of `pickle` has it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.cells = [1]

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "lock"}

    def __setstate__(self, state):
        vars(self).update(state, lock=threading.Lock())


class Sharing:
    """All of them have one table."""

    table = Part()

    def __init__(self):
        self.mine, self.cells = self.table, [1]

    def __deepcopy__(self, memo):
        other = Sharing()
        other.cells = list(self.cells)
        return other


class Board(list):
    """A list that knows more."""

    __slots__ = ("turn",)


class Owner:
    """What is put back."""


def test_the_interpreters_own_stays():
    """An environment that runs code in a namespace of its own would end its process by its first mistake."""
    owner = Owner()
    owner.names = {}
    exec("x = 1", owner.names)
    before = Snapshot(owner)
    exec("x = 2\ny = 3", owner.names)
    before.put_back()
    assert {name: owner.names[name] for name in owner.names if name != "__builtins__"} == {"x": 1}
    assert owner.names["__builtins__"]["len"] is len


def test_what_a_class_puts_into_its_copies_is_not_copied_again():
    """Environments that follow the documentation of `pickle` would be broken by their first failed action."""
    owner = Owner()
    owner.locked, owner.sharing = WithLock(), Sharing()
    parts = owner.locked, owner.locked.lock, owner.sharing
    before = Snapshot(owner)
    owner.locked.cells.append(2)
    owner.sharing.cells.append(2)
    before.put_back()
    assert (owner.locked, owner.locked.lock, owner.sharing) == parts
    assert owner.locked.cells == owner.sharing.cells == [1]
    assert owner.sharing.mine is Sharing.table


def test_what_others_hold_stays_in_weak_containers():
    """They would be empty, as nobody holds the copies."""
    elsewhere = [Part(), Part()]
    owner = Owner()
    owner.values = weakref.WeakValueDictionary(enumerate(elsewhere))
    owner.keys = weakref.WeakKeyDictionary((each, 1) for each in elsewhere)
    before = Snapshot(owner)
    owner.values.pop(0)
    owner.keys.clear()
    before.put_back()
    assert [*owner.values.values()] == [*owner.keys] == elsewhere


def test_containers_that_know_more_or_have_ended_are_put_back():
    """Each would silently be half of what it was, or break the environment."""
    owner = Owner()
    owner.board, owner.text = Board([1]), io.StringIO("said")
    owner.board.turn = "x"
    board = owner.board
    before = Snapshot(owner)
    owner.board.turn = "o"
    owner.text.close()
    before.put_back()
    assert (owner.board is board, owner.board.turn, owner.text.getvalue()) == (True, "x", "said")


def test_an_array_that_was_made_read_only_is_put_back():
    """It would keep what the failed action wrote."""
    numpy = pytest.importorskip("numpy")
    owner = Owner()
    owner.cells, owner.fixed = numpy.arange(3), numpy.arange(2)
    owner.fixed.flags.writeable = False
    before = Snapshot(owner)
    owner.cells[:] = 9
    owner.cells.flags.writeable = False
    before.put_back()
    assert (owner.cells.tolist(), owner.fixed.tolist()) == ([0, 1, 2], [0, 1])
    owner.cells[0] = 5
    assert not owner.fixed.flags.writeable


def test_a_set_whose_elements_refer_to_it_stays_one():
    """The members of a team would change another team than the environment has."""
    owner, member = Owner(), Part()
    owner.team = {member}
    member.team = owner.team
    team, before = owner.team, Snapshot(owner)
    owner.team.clear()
    before.put_back()
    assert owner.team is member.team is team == {member}


class Linked:
    """It links a table of all such again, as its copies are made."""

    table = [Part() for _ in range(3_000)]

    def __init__(self):
        self.mine = self.table

    def __getstate__(self):
        return {}

    def __setstate__(self, state):
        self.mine = self.table


def test_what_holds_no_copies_is_looked_at_once():
    """One failed action would block its process for seconds, where many parts refer to one large table."""
    owner = Owner()
    owner.parts = [Linked() for _ in range(300)]
    before = Snapshot(owner)
    looked = 0

    def count(_frame, event, called):
        nonlocal looked
        looked += event == "c_call" and called is gc.get_referents

    others = sys.getprofile()
    sys.setprofile(count)
    try:
        before.put_back()
    finally:
        sys.setprofile(others)
    assert len(Linked.table) < looked < 10 * len(Linked.table)
    assert all(part.mine is Linked.table for part in owner.parts)


class Reader:
    """It opens what it reads again, as its copies are made, and goes on where it was."""

    def __init__(self, lines):
        self.lines, self.number = lines, 0
        self.coming = iter(lines)

    def read(self):
        self.number += 1
        return next(self.coming)

    def __getstate__(self):
        return {"lines": self.lines, "number": self.number}

    def __setstate__(self, state):
        vars(self).update(state)
        self.coming = (line for line in self.lines[self.number :])


def test_what_a_class_makes_again_goes_on_where_it_was():
    """It would go on where the failed action left it."""
    owner = Owner()
    owner.reader = Reader(("one", "two", "three"))
    owner.reader.read()
    for _ in range(3):
        before = Snapshot(owner)
        owner.reader.read()
        before.put_back()
    assert (owner.reader.read(), owner.reader.number) == ("two", 2)


class Unit:
    """Found by a number that an action may change."""

    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return hash(self.number)

    def __eq__(self, other):
        return isinstance(other, Unit) and self.number == other.number


def test_frozen_sets_and_counters_find_their_elements():
    """What is in them would be found no more."""
    owner, one, two, member = Owner(), Unit(1), Unit(2), Part()
    owner.units, owner.counted = frozenset((one, two)), collections.Counter((member,))
    member.counted = owner.counted
    counted, before = owner.counted, Snapshot(owner)
    two.number = 1
    counted.clear()
    before.put_back()
    assert (one in owner.units, two in owner.units, len(owner.units)) == (True, True, 2)
    assert owner.counted is member.counted is counted
    assert counted[member] == 1
