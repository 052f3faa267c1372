"""`env play`: a person plays in the terminal."""

import asyncio
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from client.cli.env import described_action, find_paths, parameters_of
from client.cli.env_words import understood
from client.cli.exits import DONE, INTERRUPTED
from client.cli.folding import folded, terminal_width
from client.cli.json_lines import json_lines
from client.cli.layout import laid_out
from client.cli.output import excerpt, pairs, print_json_line
from shiftwork.environments.base import BaseHarness
from shiftwork.environments.playing import play as play_on
from shiftwork.environments.protocol import ActionResult, Observation
from shiftwork.environments.registry import make_environment
from shiftwork.environments.trajectory import Choice, Ending, Step, Trajectory
from shiftwork.errors import InvalidInput
from shiftwork.text import printable, truncate

_BOLD, _DIM, _RED, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"
_HELP: Final = "`help` shows the actions, `look` what you see, `quit` or Ctrl-D ends."
_MORE: Final = "`about` shows all that the environment says about itself."
_WIDTH: Final = 100
"""Of a line, where no terminal says how long it may be."""
_MOST_ABOUT: Final = 1_500
"""Characters of what it says about itself that are shown without being asked for."""
_LEFT = {
    Ending.TERMINATED: "It is over.",
    Ending.TRUNCATED: "It was cut short: too many steps, or too long.",
    Ending.STOPPED: "You stopped.",
    Ending.REFUSED: "Too many actions in a row were refused.",
    Ending.BROKEN: "The environment broke, and can't go on.",
}


def play(args: Namespace) -> int:
    """Play an episode; Ctrl-D ends it, and Ctrl-C at once."""
    with suppress(ImportError):  # not everywhere; it lets people edit what they type
        import readline  # noqa: F401, PLC0415 - its import is what does it
    find_paths(args.environment)
    environment = make_environment(args.environment, parameters_of(args))
    try:
        asyncio.run(_play(environment, _Told() if args.json else _Person(environment), args.seed))
    except KeyboardInterrupt:
        print("\nInterrupted: the episode is over.", file=sys.stderr)
        return INTERRUPTED
    return DONE


async def _play(environment: BaseHarness, player: "_Person | _Told", seed: int | None) -> None:
    try:
        player.over(
            await play_on(environment, player, seed=seed, on_step=player.saw, most_refused=sys.maxsize)
        )
    finally:
        await environment.shutdown()


class _Told:
    """Plays for a program: everything is a line of JSON, and what is typed is understood all the same."""

    async def act(self, observation: Observation, history: Sequence[Step]) -> Choice | None:
        if not history:
            print_json_line({"kind": "observation", "observation": _json(observation)})
        while (line := _read("")) is not None:
            if not line.strip():
                continue
            try:
                return understood(line, observation.available_actions)
            except InvalidInput as error:
                print_json_line({"kind": "misunderstood", "error": str(error)})
        return None

    async def saw(self, step: Step, result: ActionResult) -> None:
        told = step.model_dump(mode="json", exclude={"observation"})
        print_json_line({"kind": "step", **told, "observation": _json(result.observation)})

    def over(self, trajectory: Trajectory) -> None:
        stats = trajectory.stats.model_dump(mode="json")
        print_json_line({"kind": "end", "ending": trajectory.ending.value, **stats})


class _Person:
    """Plays for whoever sits there."""

    def __init__(self, environment: BaseHarness) -> None:
        self._environment = environment
        self._about = ""
        tty = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._colours = tty and not os.environ.get("NO_COLOR")

    async def act(self, observation: Observation, history: Sequence[Step]) -> Choice | None:
        """Ask until the answer is an action; None at the end of what is typed."""
        if not history:
            self._begin(observation)
        while (line := _read(self._prompt(observation))) is not None:
            word = line.strip()
            ours = self._ours(word, observation)
            if ours == "quit":
                return None
            if ours or not word:
                continue
            try:
                return understood(word, observation.available_actions)
            except InvalidInput as error:
                self._say(self._styled(printable(str(error)), _RED))
        return None

    def _begin(self, observation: Observation) -> None:
        said = excerpt(self._environment.description, 1_000)
        self._say(f"{self._styled(excerpt(self._environment.name, 100), _BOLD)}: {said}")
        about = observation.metadata.get("about")
        self._about = printable(about).strip() if isinstance(about, str) else ""
        if self._about:
            first = _first_part(self._about)
            self._say("", *_page(first), "", *([_MORE] if first != self._about else []))
        self._say(_HELP, "")
        self._show(observation)

    async def saw(self, step: Step, result: ActionResult) -> None:
        """Show what came of an action."""
        if step.error:
            self._say(self._styled(f"Not done: {excerpt(step.error, 1_000)}", _RED))
            return
        earned = f"reward {result.reward:+.4g}" if result.reward else ""
        others = ", ".join(f"{name} {value:+.4g}" for name, value in result.rewards.items() if value)
        if earned or others:
            self._say(self._styled(f"[{excerpt(others or earned)}]", _DIM))
        self._show(result.observation)

    def over(self, trajectory: Trajectory) -> None:
        """Say how it ended."""
        stats = trajectory.stats
        rewards = ", ".join(f"{name} {value:.4g}" for name, value in stats.rewards.items())
        self._say(
            "",
            self._styled(_LEFT[trajectory.ending], _BOLD),
            pairs(
                (
                    ("success", "yes" if stats.success else "no"),
                    ("reward", rewards or f"{stats.total_reward:.4g}"),
                    ("steps", stats.total_steps),
                    ("seed", f"{stats.seed}" if stats.reproducible else ""),
                )
            ),
        )

    def _ours(self, word: str, observation: Observation) -> str:
        """What is asked of us, not of the environment, and done already; empty for anything else."""
        named = {each.name.lower() for each in observation.available_actions}
        plain = word.lower().removeprefix("/")
        if plain in named and not word.startswith("/"):
            return ""
        match plain:
            case "help" | "?":
                self._help(observation)
            case "look":
                self._show(observation)
            case "about" if self._about:
                self._say(*_page(self._about))
            case "quit" | "exit":
                pass
            case _:
                return ""
        return "quit" if plain == "exit" else plain

    def _help(self, observation: Observation) -> None:
        lines = []
        for each in observation.available_actions:
            lines.append(f"  {excerpt(described_action(each), 1_000)}")
            if each.description:
                lines.append(f"      {excerpt(each.description, 1_000)}")
        self._say("Actions now:", *lines)
        self._say("The first letters of a name are enough, and the name may be left out where it is clear.")
        self._say("`@FILE` stands for what a file holds; JSON works too.", _HELP)

    def _show(self, observation: Observation) -> None:
        self._say(*_text(observation).split("\n"))
        unsaid = observation.agent and observation.agent not in str(observation.content)
        if unsaid and not observation.done:
            self._say(self._styled(f"It is the turn of {excerpt(observation.agent or '', 40)}.", _DIM))

    def _prompt(self, observation: Observation) -> str:
        if not sys.stdin.isatty():
            return ""
        return f"{excerpt(observation.agent or '', 40)}> "

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_PLAIN}" if self._colours else text

    def _say(self, *lines: str) -> None:
        for line in lines:
            print(folded(line, hang=0), flush=True)


def _text(observation: Observation) -> str:
    """What is perceived, without anything that steers a terminal."""
    match observation.content_type:
        case "json":
            return printable("\n".join(json_lines(observation.content, terminal_width() or _WIDTH)))
        case "image":
            size = len(str(observation.content)) * 3 // 4
            return f"(an image of about {size:,} bytes; `--json` prints it in base64)"
        case _:
            return printable(str(observation.content))


def _first_part(about: str) -> str:
    """Up to its second heading, or where it gets long."""
    return truncate(about.partition("\n#")[0].strip(), _MOST_ABOUT)


def _page(markdown: str) -> list[str]:
    return laid_out(markdown, terminal_width() or _WIDTH).split("\n")


def _json(observation: Observation) -> dict[str, Any]:
    return observation.model_dump(mode="json")


def _read(prompt: str) -> str | None:
    """A line that was typed; None at the end."""
    try:
        line = _typed(prompt)
    except EOFError:
        if prompt:
            print()
        return None
    except UnicodeDecodeError:
        raise InvalidInput("What was typed is no text in UTF-8; set the terminal to it.") from None
    return line.encode("utf-8", "replace").decode()


def _typed(prompt: str) -> str:
    """What `input` returns, which Ctrl-C ends: the loop's own answer to it comes only after a whole line."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return input(prompt)
    finally:
        signal.signal(signal.SIGINT, before)
