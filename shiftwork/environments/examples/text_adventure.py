"""A castle to explore in words: rooms, things, barred ways, and a treasure to bring back."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Final, Literal

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.examples.adventure_words import OPPOSITE, ROOMS
from shiftwork.environments.examples.adventure_world import Move, Place, World, make_world, solve
from shiftwork.environments.protocol import ActionDefinition, ActionResult, Observation
from shiftwork.errors import InvalidInput

Difficulty = Literal["easy", "medium", "hard"]

COST: Final = 0.01
"""What each step costs."""

_BY_DIFFICULTY: Final = MappingProxyType({"easy": (6, 1, 1), "medium": (10, 3, 2), "hard": (16, 5, 3)})
"""Rooms, if nobody says how many; barred ways; things of no use."""


class TextAdventureHarness(BaseHarness):
    """A treasure is to be found in a castle, and to be brought back to its gatehouse.

    The castle is another one for each seed, and can always be won: what opens a way lies where one gets
    without it, and nothing can be lost. Opening each barred way, taking the treasure and bringing it back
    earn the same, together 1; each step costs `COST`.

    Args:
        difficulty: how many ways are barred, and how many things are of no use.
        rooms: how many there are; None: 6, 10 or 16, by the difficulty.
        max_steps: None: 12 for each room.

    Raises:
        InvalidInput: a parameter is none of these.
    """

    name = "text_adventure"

    def __init__(
        self, difficulty: Difficulty = "medium", rooms: int | None = None, max_steps: int | None = None
    ) -> None:
        if difficulty not in _BY_DIFFICULTY:
            raise InvalidInput(f"difficulty is {difficulty!r}; give 'easy', 'medium' or 'hard'")
        usual, self.bars, self.trinkets = _BY_DIFFICULTY[difficulty]
        rooms = usual if rooms is None else rooms
        least, most = self.bars + 2, len(ROOMS) + 1
        if isinstance(rooms, bool) or not isinstance(rooms, int) or not least <= rooms <= most:
            raise InvalidInput(f"rooms is {rooms!r}; give a whole number from {least} to {most}")
        super().__init__(
            self.name,
            "Explore a castle, find its treasure, and bring it back to the gatehouse.",
            max_steps=12 * rooms if max_steps is None else max_steps,
        )
        self.rooms = rooms
        self.world: World | None = None
        self.place = Place()
        self.been: frozenset[int] = frozenset()
        self.said = ""

    async def reset(self, seed: int | None = None) -> Observation:  # noqa: ARG002 - `self.random` has it
        """Build a castle, and stand in its gatehouse."""
        self.world = make_world(self.rooms, self.bars, self.trinkets, self.random)
        self.place, self.been = Place(), frozenset({0})
        self.said = f"Find the {self.world.treasure}, and bring it back here, to the gatehouse."
        return await self.get_observation()

    async def step(self, action: str, **parameters: Any) -> ActionResult:
        """Move, take, use, look or list what is carried."""
        before, world = self.place, self._world
        if action == "move":
            self.place = before.moved(before.exits(world)[parameters["direction"]])
            self.said = f"You go {parameters['direction']}."
        elif action == "take":
            self.place = before.taken(parameters["item"])
            self.said = f"You take the {parameters['item']}."
        elif action == "use":
            self._use(parameters["item"])
        else:
            self.said = "You look around." if action == "look" else "You look at what you carry."
        self.been |= {self.place.room}
        steps_on = len(self.place.opened) - len(before.opened)
        steps_on += world.treasure in self.place.carried - before.carried
        steps_on += self.is_success()
        reward = steps_on / (self.bars + 2) - COST
        return ActionResult(observation=await self.get_observation(), reward=reward)

    def get_action_space(self) -> list[ActionDefinition]:
        """Every action; which directions and things there are is in `available_actions`."""
        return [_move(OPPOSITE), _take(None), _use(None), *_looking()]

    async def get_observation(self) -> Observation:
        """The room, what is in it, and where one can go."""
        if self.world is None:
            return Observation(available_actions=self.get_action_space())
        won = self.is_success()
        return Observation(
            content=self._told(),
            available_actions=[] if won else self._available(),
            metadata={
                "room": self.world.rooms[self.place.room].name,
                "carried": self._carried(),
                "rooms_seen": len(self.been),
                "rooms": self.rooms,
            },
            terminated=won,
        )

    def is_success(self) -> bool:
        """Whether the treasure was brought back."""
        return self.world is not None and self.place.won(self.world)

    def solution(self) -> list[Move]:
        """The fewest steps from here to the end: what to call `step` with, one after the other."""
        found = solve(self._world, self.place)
        if found is None:
            raise AssertionError(f"the castle of {self.name!r} can't be won")
        return found

    @property
    def _world(self) -> World:
        if self.world is None:
            raise InvalidInput(f"no episode of {self.name!r} was begun; call reset first")
        return self.world

    def _use(self, item: str) -> None:
        for kind in self.place.barred(self._world).values():
            if kind.item == item:
                self.place = self.place.used(item)
                self.said = kind.opening
                return
        self.said = f"The {item} is of no use here."

    def _carried(self) -> list[str]:
        """What has served is left behind."""
        return sorted(self.place.carried - self.place.opened)

    def _available(self) -> list[ActionDefinition]:
        found = []
        if ways := self.place.exits(self._world):
            found.append(_move(ways))
        if lying := self.place.lying(self._world):
            found.append(_take(lying))
        if carried := self._carried():
            found.append(_use(carried))
        return [*found, *_looking()]

    def _told(self) -> str:
        world = self._world
        room = world.rooms[self.place.room]
        lines = [self.said, "", f"# {room.name}", room.description]
        if lying := self.place.lying(world):
            lines.append(f"Here lies: {', '.join(lying)}.")
        for way, there in self.place.exits(world).items():
            seen = world.rooms[there].name if there in self.been else "you have not been there"
            lines.append(f"- {way}: {seen}")
        lines += [f"- {way}: {kind.bar}. {kind.shut}" for way, kind in self.place.barred(world).items()]
        lines.append(f"You carry: {', '.join(self._carried()) or 'nothing'}.")
        if self.is_success():
            lines.append(f"The {world.treasure} is yours: you have won.")
        elif world.treasure in self.place.carried:
            lines.append(f"Bring the {world.treasure} back to the gatehouse.")
        return "\n".join(lines)


def _looking() -> list[ActionDefinition]:
    return [
        ActionDefinition(name="look", description="Look around once more"),
        ActionDefinition(name="inventory", description="List what you carry"),
    ]


def _move(ways: Iterable[str]) -> ActionDefinition:
    direction = {
        "type": "string",
        "enum": list(ways),
        "description": "Where to go; barred ways are not in the list",
    }
    return ActionDefinition(
        name="move", description="Go to the next room", parameters={"direction": direction}
    )


def _take(items: list[str] | None) -> ActionDefinition:
    return ActionDefinition(
        name="take",
        description="Take a thing that lies in this room",
        parameters={"item": _thing(items, "What to take")},
    )


def _use(items: list[str] | None) -> ActionDefinition:
    return ActionDefinition(
        name="use",
        description="Use a thing that you carry on what bars a way out of this room",
        parameters={"item": _thing(items, "What to use")},
    )


def _thing(items: list[str] | None, description: str) -> dict[str, Any]:
    among = {} if items is None else {"enum": items}
    return {"type": "string", **among, "description": description}
