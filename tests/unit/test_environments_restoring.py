"""Whether what an object holds is put back, each part as the object that it is."""

import array
import asyncio
import collections
import contextvars
import ctypes
import functools
import io
import itertools
import os
import queue
import random
import socket
import sys
import threading
import tracemalloc
import weakref
import zlib
from concurrent import futures

import pytest

from shiftwork.environments import NeverChanges
from shiftwork.environments.restoring import Snapshot
from shiftwork.environments.restoring_contents import CanNotPutBack
from tests.unit.walking import Awake, History, Part


class Owner:
    """What is put back."""


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
    order = list(was)
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

    assert snapshot.put_back()
    assert held.rows == [[1], {2}]
    assert held.more["ordered"] == {"a": held.rows}
    assert dict(held.more["default"]) == {"a": [1]}
    assert list(held.more["deque"]) == [1, 2]
    assert held.more["bytes"] == b"ab"
    assert not hasattr(held, "new")
    now = {**held.more, "rows": held.rows, "same": held.same}
    assert [name for name in order if now[name] is was[name]] == order
    held.more["add"](5)
    assert list(held.more["turns"]) == [[1], {2}, 5]


@pytest.mark.parametrize(
    "made",
    [
        lambda: (each for each in ()),
        itertools.count,
        zlib.compressobj,
        socket.socket,
        lambda: memoryview(bytearray(1)),
        lambda: ValueError("no"),
        lambda: ctypes.c_int(1),
        contextvars.copy_context,
    ],
    ids=["generator", "count", "packer", "socket", "view", "exception", "c", "context"],
)
def test_what_can_not_be_put_back_is_said(made):
    """It would be put back to something that it never was."""
    held = Part()
    held.within = ({"this": made()},)
    with pytest.raises(CanNotPutBack):
        Snapshot(held)
    if isinstance(held.within[0]["this"], socket.socket):
        held.within[0]["this"].close()


def test_a_lock_that_is_held_otherwise_is_said():
    """A failed action would leave it locked for ever, or open what others believe locked."""
    held = Part()
    held.lock, held.again = threading.Lock(), threading.RLock()
    before = Snapshot(held)
    with held.lock, held.again:
        held.count += 1
    assert before.put_back()
    assert held.count == 0
    held.lock.acquire()
    with pytest.raises(CanNotPutBack):
        before.put_back()
    held.lock.release()
    assert before.put_back()


def test_what_was_closed_or_came_to_its_end_is_said():
    """The environment would go on with nothing to read."""
    for change in (lambda o: o.text.close(), lambda o: list(o.turns)):
        owner = Owner()
        owner.text, owner.turns = io.StringIO("said"), iter([1, 2])
        before = Snapshot(owner)
        change(owner)
        with pytest.raises(CanNotPutBack):
            before.put_back()


async def test_what_others_wait_for_is_left_alone():
    """A step that failed would leave a lock of everybody locked for ever, or a worker asleep."""
    for made in (
        asyncio.Lock,
        asyncio.Queue,
        queue.Queue,
        threading.Event,
        threading.Condition,
        futures.Future,
    ):
        owner = Owner()
        owner.shared = made()
        with pytest.raises(CanNotPutBack):
            Snapshot(owner)


def test_nothing_is_written_where_it_can_not_all_be():
    """Half of it would be of before the action, and others would find it so."""
    owner, shared = Owner(), [1]
    owner.shared, owner.text, owner.lock = shared, io.StringIO(), threading.Lock()
    for spoil in (lambda: owner.text.close(), lambda: owner.lock.acquire()):  # noqa: PLW0108 - as it is then
        before = Snapshot(owner)
        shared.append(2)
        spoil()
        with pytest.raises(CanNotPutBack):
            before.put_back()
        assert shared.pop() == 2
        owner.text = io.StringIO()


def test_what_is_everybodys_stays():
    """A failed action of one environment would have all others draw the same again."""
    owner = Owner()
    owner.draw, owner.roll = random.random, random.randint
    owner.variables, owner.path = os.environ, sys.path
    before = Snapshot(owner)
    drawn = [owner.draw(), owner.roll(1, 10**9)]
    sys.path.append("added")
    try:
        assert before.put_back()
        assert sys.path[-1] == "added"
    finally:
        sys.path.remove("added")
    assert [owner.draw(), owner.roll(1, 10**9)] != drawn


def test_what_moved_is_found_where_it_was():
    """It would be in its set, and not be found there."""
    owner, unit, key = Owner(), Unit(1), Unit(2)
    owner.units, owner.places, owner.deep = {unit}, {key: "here"}, {}
    owner.deep[(key,)] = owner.places
    before = Snapshot(owner)
    owner.units.discard(unit)
    del owner.places[key], owner.deep[(key,)]
    unit.number = key.number = 9
    owner.units.add(unit)
    owner.places[key] = "here"
    owner.deep[(key,)] = owner.places
    before.put_back()
    assert unit in owner.units
    assert owner.places[key] == "here"
    assert owner.deep[(key,)] is owner.places


def test_views_of_one_array_are_noted_once():
    """Many views of a large array would each be copied before every step."""
    numpy = pytest.importorskip("numpy")
    owner = Owner()
    owner.grid = numpy.zeros(200_000)
    owner.views = [owner.grid[number:] for number in range(500)]
    tracemalloc.start()
    try:
        before = Snapshot(owner)
        assert tracemalloc.get_traced_memory()[1] < 3 * owner.grid.nbytes
    finally:
        tracemalloc.stop()
    owner.views[7][0] = 1
    assert before.put_back()
    assert owner.grid[7] == 0


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


def test_containers_that_know_more_are_put_back():
    """Each would silently be half of what it was, or break the environment."""
    owner = Owner()
    owner.board, owner.text, owner.bits = Board([1]), io.StringIO("said"), io.BytesIO(b"bits")
    owner.board.turn = "x"
    owner.numbers = array.array("d", [float("nan"), 1])
    owner.text.seek(2)
    board, text = owner.board, owner.text
    before = Snapshot(owner)
    owner.board.turn = "o"
    owner.numbers.append(2)
    owner.text.write("more")
    owner.bits.truncate(1)
    assert before.put_back()
    assert (owner.board is board, owner.board.turn) == (True, "x")
    assert (owner.text is text, owner.text.getvalue(), owner.text.tell()) == (True, "said", 2)
    assert (owner.bits.getvalue(), len(owner.numbers)) == (b"bits", 2)


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


def test_windows_of_an_array_take_no_memory_of_their_own():
    """A few numbers that are seen through many windows would be noted once for each, before each step."""
    numpy = pytest.importorskip("numpy")
    owner = Owner()
    cells = owner.cells = numpy.arange(4.0)
    owner.many = numpy.lib.stride_tricks.as_strided(cells, (10**7, 10**7), (0, 0))
    owner.windows = numpy.lib.stride_tricks.sliding_window_view(cells, 2, writeable=True)
    before = Snapshot(owner)
    owner.windows[1, 1] = 9
    owner.cells = None
    assert before.put_back()
    assert owner.cells is cells
    assert cells.tolist() == [0, 1, 2, 3]


class Seen(weakref.ref):
    __slots__ = ("times",)


def test_what_a_kind_of_ones_own_holds_is_put_back():
    """What it derives from never changes, and what it has itself does."""
    owner, part = Owner(), Part()
    owner.ref, owner.call = Seen(part), functools.partial(int, "7")
    owner.ref.times, owner.call.told = 0, []
    before = Snapshot(owner)
    owner.ref.times += 1
    owner.call.told.append(1)
    owner.call.__setstate__((float, ("8",), {}, None))
    assert before.put_back()
    assert (owner.ref.times, owner.ref(), owner.call(), owner.call.told) == (0, part, 7, [])


class Hiding:
    """It shows other attributes than it has."""

    def __init__(self):
        self.count = 0

    __dict__ = property(lambda self: {})


def test_what_can_not_be_seen_or_done_twice_is_said():
    """An environment would go on with what a failed step left there."""
    owner, part = Owner(), Part()
    owner.hiding = Hiding()
    with pytest.raises(CanNotPutBack, match="Hiding"):
        Snapshot(owner)
    del owner.hiding
    owner.last = weakref.finalize(part, list)
    before = Snapshot(owner)
    assert before.put_back()
    owner.last()
    with pytest.raises(CanNotPutBack):
        before.put_back()


def test_a_set_whose_elements_refer_to_it_stays_one():
    """The members of a team would change another team than the environment has."""
    owner, member = Owner(), Part()
    owner.team = {member}
    member.team = owner.team
    team, before = owner.team, Snapshot(owner)
    owner.team.clear()
    before.put_back()
    assert owner.team is member.team is team == {member}


def test_a_long_chain_is_put_back():
    """Environments of many parts that know each other could only be made again."""
    owner = Owner()
    owner.last = None
    for number in range(20_000):
        part = Part()
        part.count, part.before = number, owner.last
        owner.last = part
    before = Snapshot(owner)
    owner.last.before.before.count = -1
    owner.last = owner.last.before
    assert before.put_back()
    assert (owner.last.count, owner.last.before.before.count) == (19_999, 19_997)


def test_what_never_changes_is_not_looked_into():
    """A large map would be looked through before each step."""

    class Map(NeverChanges):
        def __init__(self):
            self.rows = [[0]]

    owner = Owner()
    owner.map = Map()
    before = Snapshot(owner)
    owner.map.rows[0][0] = 1
    assert before.put_back()
    assert owner.map.rows == [[1]]


class Awkward:
    """Equal to all others once an action has made it so."""

    same = False

    def __hash__(self):
        return 7

    def __eq__(self, other):
        return self is other or self.same


def test_what_does_not_come_right_is_said():
    """An environment would go on without a part of what it had, and nobody would know."""
    owner = Owner()
    owner.found = {Awkward(): 1, Awkward(): 2}
    before = Snapshot(owner)
    owner.found.clear()
    Awkward.same = True
    try:
        with pytest.raises(CanNotPutBack):
            before.put_back()
    finally:
        Awkward.same = False


def test_only_the_order_of_a_set_is_told_apart():
    """An episode that can't be made again would be called broken for something that it never shows."""
    owner = Owner()
    owner.free = set(range(64))
    was, before = set(owner.free), Snapshot(owner)
    assert before.put_back()
    owner.free.pop()
    assert not before.put_back()
    assert owner.free == was


def test_graphs_made_by_chance_come_back():
    """A mistake would show in the one environment that is made just so."""
    for seed in range(300):
        chance = random.Random(seed)
        made = [kind() for kind in chance.choices(_KINDS, k=chance.randint(2, 12))]
        owner = Owner()
        owner.all = made[0]
        for _ in range(40):
            _meddle(chance, made, owner)
        was, before = _picture(owner), Snapshot(owner)
        assert _picture(owner) == was
        for _ in range(40):
            _meddle(chance, made, owner)
        before.put_back()
        assert _picture(owner) == was, f"seed {seed}"


_KINDS = [list, dict, set, collections.deque, Part, Board, collections.OrderedDict, Awake, Owner, History]


def _meddle(chance, made, owner):
    one, other = chance.choice([*made, owner]), chance.choice(made)
    value = chance.choice([other, chance.randrange(5), (other, 1), (1, (other,))])
    if isinstance(one, list):
        chance.choice([lambda: one.append(value), one.reverse, lambda: one and one.pop(0)])()
    elif isinstance(one, collections.deque):
        chance.choice([lambda: one.append(value), lambda: one.rotate(1), lambda: one and one.pop()])()
    elif isinstance(one, set):
        chance.choice([lambda: one.add(chance.randrange(9)), lambda: one.add(Part()), one.clear])()
    elif isinstance(one, dict):
        one.pop(chance.choice("abc"), None) if chance.random() < 0.3 else one.update(
            {chance.choice("abc"): value}
        )
    else:
        vars(one)[chance.choice("abc")] = value


def _picture(root):
    """Which objects there are, and which of them each one holds."""
    found, waiting = {}, [root]
    while waiting:
        one = waiting.pop()
        if id(one) in found or isinstance(one, int | str | type | weakref.ref | None):
            continue
        held = [*vars(one).items()] if hasattr(one, "__dict__") else []
        if isinstance(one, dict):
            held += dict.items(one)
        elif isinstance(one, list | tuple | collections.deque):
            held += enumerate(one)
        elif isinstance(one, set):
            held += [(id(each), each) for each in sorted(one, key=id)]
        found[id(one)] = one, [(name, value if isinstance(value, int) else id(value)) for name, value in held]
        waiting += [value for _, value in held]
    return {key: told for key, (_, told) in found.items()}


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
