"""The games of TextWorld as environments."""

import asyncio
import copy
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final, Literal

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.bridges.extras import MissingExtra
from shiftwork.environments.bridges.uncopied import Constant, Uncopied
from shiftwork.environments.protocol import ActionDefinition, ActionResult, Observation
from shiftwork.errors import InvalidInput

try:
    import textworld
    from jericho import UnsupportedGameWarning
except ModuleNotFoundError as error:
    raise MissingExtra("textworld", error) from error

from shiftwork.environments.bridges.textworld_making import GameMaker

_FILES: Final = re.compile(r"\.(z[1-8]|ulx)$", re.IGNORECASE)
_STATUS_LINE: Final = re.compile(r"\n>\s*-= [^\n]* =-[^\n]*$")
_ANY: Final = {
    "pattern": "^[ -~]*$",  # a line, in letters that every game knows
    "minLength": 1,
    "maxLength": 200,
    "examples": ["look", "inventory", "go north", "go south", "go east", "go west"],
}
_TOLD: Final = ("objective", "score", "max_score", "moves")
_ASKED: Final = ("feedback", "won", "lost", "admissible_commands", *_TOLD)


class TextWorldHarness(BaseHarness):
    """A game of TextWorld: one that is made from the seed, or that of a file.

    The reward is by how much the score grew; who wins has success.

    Args:
        game: `custom`, one of TextWorld's challenges (`tw-simple`, `tw-cooking`, `tw-coin_collector`,
            `tw-treasure_hunter`), or the path of a game, `*.z8`. Making one takes a few seconds.
        commands: whether the actions that are available name those commands that do something now
            (`admissible`), or `any` text is a command.
        max_steps: commands that an episode may take.
        timeout_seconds: how long it may last.
        settings: of a game that is made; see `GameMaker`.

    Raises:
        InvalidInput: there is no such game, or not with these settings.
    """

    def __init__(
        self,
        game: str,
        *,
        commands: Literal["admissible", "any"] = "admissible",
        max_steps: int | None = 100,
        timeout_seconds: float | None = None,
        **settings: Any,
    ) -> None:
        if commands not in ("admissible", "any"):
            raise InvalidInput(f"the commands are {commands!r}; give 'admissible' or 'any'")
        self._file = Path(game) if _FILES.search(game) else None
        if self._file is not None and (settings or not self._file.is_file()):
            why = f"takes no {', '.join(settings)}" if settings else "does not exist"
            raise InvalidInput(f"the game {game} is a file and {why}; correct it")
        name = game if self._file is None else self._file.stem
        super().__init__(name, f"TextWorld's {name}", max_steps=max_steps, timeout_seconds=timeout_seconds)
        self._maker = None if self._file is not None else Constant(GameMaker(game, settings))
        self._folder: Uncopied[tempfile.TemporaryDirectory[str]] | None = None
        self._env: Uncopied[Any] | None = None
        self._commands = commands
        self._state: dict[str, Any] = {**dict.fromkeys(_ASKED), "feedback": "", "done": False}

    async def reset(self, seed: int = 0) -> Observation:
        """Begin the game; one that is made is another for each seed."""
        file = await asyncio.to_thread(self._made, seed) if self._file is None else self._file
        env = _started(file, seed)
        if self._env is not None:
            self._env.thing.close()
        self._env = Uncopied(env)
        self._state = _kept(env.reset())
        return await self.get_observation()

    async def step(self, action: str, **parameters: Any) -> ActionResult:  # noqa: ARG002 - there is one
        """Give a command."""
        assert self._env is not None, "reset was called"
        before = self._state["score"]
        state, _, done = self._env.thing.step(parameters["text"])
        self._state = {**_kept(state), "done": bool(done)}
        reward = float(self._state["score"] - before)
        return ActionResult(observation=await self.get_observation(), reward=reward)

    def get_action_space(self) -> list[ActionDefinition]:
        """One action."""
        return [_command(_ANY)]

    async def get_observation(self) -> Observation:
        """What the game says."""
        admissible = self._state.get("admissible_commands") if self._commands == "admissible" else None
        return Observation(
            content=_STATUS_LINE.sub("", self._state["feedback"].rstrip()).strip("\n"),
            available_actions=[_command({"enum": sorted(admissible)} if admissible else _ANY)],
            metadata={name: self._state[name] for name in _TOLD},
            terminated=self._state["done"],
        )

    def is_success(self) -> bool:
        """Whether the game is won."""
        return bool(self._state.get("won"))

    async def shutdown(self) -> None:
        """End the game, and remove what was made."""
        if self._env is not None:
            self._env.thing.close()
        if self._folder is not None:
            self._folder.thing.cleanup()

    def _made(self, seed: int) -> Path:
        """The game of a seed; that of another one is removed."""
        assert self._maker is not None, "it is no file"
        if self._folder is not None and (known := Path(self._folder.thing.name) / f"{seed}.z8").is_file():
            return known
        if self._folder is not None:
            self._folder.thing.cleanup()
        self._folder = Uncopied(tempfile.TemporaryDirectory(prefix="shiftwork-textworld-"))
        return self._maker.thing.make(seed, Path(self._folder.thing.name))


def _started(file: Path, seed: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnsupportedGameWarning)  # what it can't tell, TextWorld itself does
        env = textworld.start(str(file), textworld.EnvInfos(**dict.fromkeys(_ASKED, True)))
    env.seed(seed)
    return env


def _kept(state: Any) -> dict[str, Any]:
    """Of a state of the game, what is shown."""
    kept = {name: state.get(name) for name in _ASKED}
    return {**kept, "score": kept["score"] or 0, "done": False}


def _command(schema: dict[str, Any]) -> ActionDefinition:
    text = {
        "type": "string",
        **copy.deepcopy(schema),
        "description": "Such as 'look', 'inventory', 'go north' or 'take key'",
    }
    return ActionDefinition(name="command", description="Say what to do", parameters={"text": text})
