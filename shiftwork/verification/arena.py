"""Verification steps whose command has to play an environment well."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shiftwork.contracts.environment_check import EnvironmentCheck, Reaching
from shiftwork.contracts.feature import FeatureSpec
from shiftwork.contracts.session import FailureKind
from shiftwork.environments.commanded import CommandPlayer, player_seed
from shiftwork.environments.host import Order
from shiftwork.environments.hosting import EnvironmentHost, PlayFailed
from shiftwork.environments.registry import check_name
from shiftwork.environments.scoring import average
from shiftwork.environments.trajectory import Ending, Step, Trajectory
from shiftwork.errors import EnvironmentFailed, InvalidInput, NotFound
from shiftwork.text import one_line, truncate
from shiftwork.verification.shell import Shell

_NO_SECRET: Final = b"verification"
"""Who writes the program reads the episodes' seeds: a program plays alike whenever it is verified."""

_OF_THE_PROJECT: Final = ("player", "invalid")
"""What of a step that can't be played belongs to the project: its program, and the parameters of its plan."""

_MOST_CAUSE: Final = 200
"""Characters of it: the sentence becomes the reason for which a project is paused."""

_ROUNDING: Final = 1e-9
"""Sums of rewards that differ by less are the same."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it: why the step failed, if it did, and lines that say what was earned."""

    failure: FailureKind | None
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it; how it ended comes first."""
        return "\n".join(self.lines)


def check_environments(features: Iterable[FeatureSpec]) -> None:
    """Raise `InvalidInput` for the first step whose environment is not installed here; none is imported."""
    for feature in features:
        for number, step in enumerate(feature.verification_steps, start=1):
            if step.environment is None:
                continue
            try:
                check_name(step.environment.name, by_path=False)
            except NotFound as error:
                raise InvalidInput(
                    f"Feature {feature.name!r}, step {number} can't be played: {error}"
                ) from error


class Arena:
    """Has commands play.

    The environment is a process of ours, outside the sandbox of the command: that neither sees its state
    nor counts its rewards.

    Args:
        shell: what runs the commands.
        host: what runs the environments.
    """

    def __init__(self, shell: Shell, host: EnvironmentHost) -> None:
        self._shell = shell
        self._host = host

    async def judge(
        self, check: EnvironmentCheck, command: str, *, cwd: Path, scratch: Path, timeout: float
    ) -> Played:
        """Play every episode, each by a new process of the command, and say whether enough was earned.

        Args:
            cwd: where the command runs.
            scratch: its home and temporary folder.
            timeout: seconds for all episodes together.

        Raises:
            EnvironmentFailed: it is not here, or failed twice: that says nothing of the command.
            LeaseLost: it was ended because this process did not run.
            AgentError: a process could not be started.
        """
        games: list[_Game] = []
        try:
            async with asyncio.timeout(timeout):
                for seed in check.seeds:
                    game = _Game(self._shell, self._host, check, seed, timeout)
                    games.append(game)
                    await game.play(command, cwd, scratch)
        except TimeoutError:
            why = f"The time of {timeout:g} s was over; {check.words} was asked for."
            return Played(FailureKind.STEP_TIMEOUT, (why, *(game.line for game in games)))
        except PlayFailed as error:
            if error.why not in _OF_THE_PROJECT:
                raise _broken(str(error)) from error
            last = "" if error.why == "player" else f"The environment {check.name!r} can't be played: "
            why = f"{last}{one_line(str(error))}"
            return Played(FailureKind.STEP_FAILED, (why, *(game.line for game in games)))
        return _weighed(check, games)


class _Game:
    """One episode."""

    def __init__(
        self, shell: Shell, host: EnvironmentHost, check: EnvironmentCheck, seed: int, patience: float
    ) -> None:
        self._shell = shell
        self._host = host
        self._check = check
        self._patience = patience
        self.seed = seed
        self.last: Step | None = None
        self.trajectory: Trajectory | None = None

    @property
    def reward(self) -> float:
        """What was earned in all."""
        return self.trajectory.stats.total_reward if self.trajectory else 0.0

    @property
    def line(self) -> str:
        """How it went."""
        taken = self.last.number if self.last else 0
        if self.trajectory is None:
            return f"seed {self.seed}: not over after {taken} steps"
        stats = self.trajectory.stats
        aim = "aim reached" if stats.success else "aim not reached"
        refused = f", {stats.refused_actions} of them refused" if stats.refused_actions else ""
        return (
            f"seed {self.seed}: reward {stats.total_reward:g} in {taken} steps{refused}; {aim}, "
            f"{self.trajectory.ending}"
        )

    async def play(self, command: str, cwd: Path, scratch: Path) -> None:
        """From its beginning to its end; once more if its environment fails, as for want of memory."""
        try:
            await self._play(command, cwd, scratch)
        except PlayFailed as error:
            if error.why != "environment":
                raise
            self.last = None
            await self._play(command, cwd, scratch)

    async def _play(self, command: str, cwd: Path, scratch: Path) -> None:
        order = Order(
            environment=self._check.name,
            parameters=self._check.parameters,
            seed=self.seed,
            most_steps=self._check.max_steps,
            player="asked",
        )
        async with self._shell.talk(command, cwd=cwd, scratch=scratch) as process:
            player = CommandPlayer(
                process,
                seed=player_seed(_NO_SECRET, self.seed),
                patience=self._patience,
                redact=self._shell.redact,
            )
            over = await self._host.play(order, on_step=self._keep, on_turn=player.act, on_begin=player.begin)
            if over.fault is not None and not self._gave_up(over.trajectory.ending):
                raise PlayFailed(over.fault, "environment")
            self.trajectory = over.trajectory
            await player.over(over.observation, self.last)

    def _gave_up(self, ending: Ending) -> bool:
        """Whether the command itself ended the play: it can't blame an action that failed and was undone."""
        taken, most = (self.last.number if self.last else 0), self._check.max_steps
        return ending is Ending.STOPPED and (most is None or taken < most)

    async def _keep(self, step: Step, seconds: float) -> None:  # noqa: ARG002 - `OnStep`
        self.last = step


def _broken(why: str) -> EnvironmentFailed:
    cause = truncate(one_line(why), _MOST_CAUSE).rstrip(".")
    return EnvironmentFailed(
        f"A verification step can't be played: {cause}; mend it where the worker runs, then resume."
    )


def _weighed(check: EnvironmentCheck, games: list[_Game]) -> Played:
    rewards = [game.reward for game in games]
    mean, least = average(rewards), min(rewards)
    counts = least if check.reached_by is Reaching.EVERY else mean
    passed = counts >= check.min_reward - _ROUNDING
    earned = f"{least:g}" if len(games) == 1 else f"{mean:g} on average, {least:g} at least"
    why = f"The reward was {earned}; {check.words} was asked for."
    return Played(None if passed else FailureKind.STEP_FAILED, (why, *(game.line for game in games)))
