"""Worlds of the text adventure: made by chance so that they can be won, and how to win them."""

import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self

from shiftwork.environments.examples.adventure_words import (
    KINDS,
    OPPOSITE,
    ROOMS,
    START,
    TREASURES,
    TRINKETS,
    Kind,
)
from shiftwork.environments.sharing import NeverChanges

Move = tuple[str, dict[str, Any]]
"""What `step` is called with: an action and its parameters."""

_WAYS: Final = MappingProxyType({"north": (-1, 0), "east": (0, 1), "south": (1, 0), "west": (0, -1)})


@dataclass(frozen=True)
class Room:
    """One room.

    Attributes:
        exits: the number of the room in each direction in which there is one.
        barred: in which of these directions the way is barred at first, and how.
    """

    name: str
    description: str
    exits: Mapping[str, int]
    barred: Mapping[str, Kind]


@dataclass(frozen=True)
class World(NeverChanges):
    """Rooms, and what lies in them at first; it never changes. The start is room 0.

    Attributes:
        treasure: what is to be brought to the start.
        lying: in which room each thing lies at first.
    """

    rooms: tuple[Room, ...]
    treasure: str
    lying: Mapping[str, int]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    @property
    def openers(self) -> frozenset[str]:
        """What opens something."""
        return frozenset(kind.item for room in self.rooms for kind in room.barred.values())


@dataclass(frozen=True)
class Place(NeverChanges):
    """How far an adventure has come; an action gives another one.

    Attributes:
        room: where one stands.
        carried: what one has.
        opened: the things whose bar was opened with them; one keeps them.
    """

    room: int = 0
    carried: frozenset[str] = frozenset()
    opened: frozenset[str] = frozenset()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def won(self, world: World) -> bool:
        """Whether the treasure was brought to the start."""
        return self.room == 0 and world.treasure in self.carried

    def exits(self, world: World) -> dict[str, int]:
        """The directions in which one can go now."""
        room = world.rooms[self.room]
        barred = {way for way, kind in room.barred.items() if kind.item not in self.opened}
        return {way: there for way, there in room.exits.items() if way not in barred}

    def barred(self, world: World) -> dict[str, Kind]:
        """The directions in which the way is still barred."""
        kinds = world.rooms[self.room].barred
        return {way: kind for way, kind in kinds.items() if kind.item not in self.opened}

    def lying(self, world: World) -> list[str]:
        """What can be taken here."""
        return [item for item, room in world.lying.items() if room == self.room and item not in self.carried]

    def moved(self, there: int) -> Self:
        """In another room."""
        return type(self)(there, self.carried, self.opened)

    def taken(self, item: str) -> Self:
        """With one thing more."""
        return type(self)(self.room, self.carried | {item}, self.opened)

    def used(self, item: str) -> Self:
        """With one bar less."""
        return type(self)(self.room, self.carried, self.opened | {item})


def solve(world: World, place: Place) -> list[Move] | None:
    """The fewest actions from a place to the end; None: there is none, which no made world has."""
    came: dict[Place, tuple[Place, Move] | None] = {place: None}
    waiting = deque([place])
    while waiting:
        here = waiting.popleft()
        if here.won(world):
            return list(_steps_to(here, came))[::-1]
        for move, there in _useful(world, here):
            if there not in came:
                came[there] = (here, move)
                waiting.append(there)
    return None


def _steps_to(place: Place, came: Mapping[Place, tuple[Place, Move] | None]) -> Iterator[Move]:
    while (step := came[place]) is not None:
        place, move = step
        yield move


def _useful(world: World, place: Place) -> Iterator[tuple[Move, Place]]:
    wanted = world.openers | {world.treasure}
    for item in place.lying(world):
        if item in wanted:
            yield ("take", {"item": item}), place.taken(item)
    for kind in place.barred(world).values():
        if kind.item in place.carried:
            yield ("use", {"item": kind.item}), place.used(kind.item)
    for way, there in place.exits(world).items():
        yield ("move", {"direction": way}), place.moved(there)


class _Plan:
    """A world while it is made, room by room; whatever is added can be reached from what was there."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.at: dict[tuple[int, int], int] = {(0, 0): 0}
        self.exits: list[dict[str, int]] = [{}]
        self.barred: list[dict[str, Kind]] = [{}]
        self.areas: list[list[int]] = [[0]]

    def add_room(self, kind: Kind | None = None) -> None:
        """Beside a room of the newest area, or of any area, behind a bar, as the first of another one."""
        among = self.areas[-1] if kind is None else [room for area in self.areas for room in area]
        places = list(self._free(among)) or list(self._free(range(len(self.exits))))
        room, way, cell = self.chance.choice(places)
        if kind is None:
            next(area for area in self.areas if room in area).append(len(self.exits))
        else:
            self.areas.append([len(self.exits)])
        self.at[cell] = len(self.exits)
        self.exits.append({})
        self.barred.append({})
        self._join(room, way, self.at[cell], kind)

    def add_loops(self, share: float) -> None:
        """Join some neighbours of the same area, so that there is more than one way between them."""
        for (row, column), room in self.at.items():
            for way in ("east", "south"):
                there = self.at.get((row + _WAYS[way][0], column + _WAYS[way][1]))
                near = there is not None and any(room in area and there in area for area in self.areas)
                if near and way not in self.exits[room] and self.chance.random() < share:
                    self._join(room, way, self.at[row + _WAYS[way][0], column + _WAYS[way][1]], None)

    def _free(self, rooms: Iterable[int]) -> Iterator[tuple[int, str, tuple[int, int]]]:
        cells = {room: cell for cell, room in self.at.items()}
        for room in rooms:
            row, column = cells[room]
            for way, (down, right) in _WAYS.items():
                if (row + down, column + right) not in self.at:
                    yield room, way, (row + down, column + right)

    def _join(self, room: int, way: str, there: int, kind: Kind | None) -> None:
        self.exits[room][way] = there
        self.exits[there][OPPOSITE[way]] = room
        if kind is not None:
            self.barred[room][way] = kind


def make_world(rooms: int, bars: int, trinkets: int, chance: random.Random) -> World:
    """A world that can be won, and only by opening every bar.

    What opens the first one lies where one gets without it, and what opens each other one behind that before.

    Args:
        rooms: how many, at most as many as there are words for.
        bars: how many passages are barred, fewer than there are rooms; the treasure lies behind the last.
        trinkets: how many things there are that are of no use.
    """
    plan = _Plan(chance)
    kinds = chance.sample(KINDS, bars)
    # A room for each area, the rest by chance among them.
    sizes = [1] * (bars + 1)
    for _ in range(rooms - bars - 1):
        sizes[chance.randrange(bars + 1)] += 1
    lying: dict[str, int] = {}
    for number, size in enumerate(sizes):
        if number:
            plan.add_room(kinds[number - 1])
        for _ in range(size - 1):
            plan.add_room()
        if number < bars:
            lying[kinds[number].item] = chance.choice([room for room in plan.areas[-1] if room] or [0])
    plan.add_loops(0.3)
    treasure = chance.choice(TREASURES)
    lying[treasure] = chance.choice(plan.areas[-1] if bars else list(range(1, rooms)))
    for trinket in chance.sample(TRINKETS, trinkets):
        lying[trinket] = chance.randrange(rooms)
    told = [START, *chance.sample(ROOMS, rooms - 1)]
    return World(
        tuple(
            Room(name, description, MappingProxyType(exits), MappingProxyType(barred))
            for (name, description), exits, barred in zip(told, plan.exits, plan.barred, strict=True)
        ),
        treasure,
        MappingProxyType(lying),
    )
