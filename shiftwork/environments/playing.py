"""Playing episodes: from the beginning, or on from what is recorded of them."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from typing import Final

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.enforcement import play_of
from shiftwork.environments.policies import Policy, PolicyPerAgent, RandomPolicy, ScriptedPolicy
from shiftwork.environments.protocol import ActionResult, HarnessStatus, Observation
from shiftwork.environments.trajectory import Choice, Ending, Step, Trajectory, digest
from shiftwork.errors import EnvironmentFailed

__all__ = [
    "MOST_REFUSED",
    "Choice",
    "Diverged",
    "Ending",
    "OnStep",
    "Policy",
    "PolicyPerAgent",
    "RandomPolicy",
    "ScriptedPolicy",
    "Step",
    "Trajectory",
    "digest",
    "fault_of",
    "play",
]

MOST_REFUSED: Final = 20

OnStep = Callable[[Step, ActionResult], Awaitable[None]]


class Diverged(EnvironmentFailed):
    """An environment did not do again what is recorded of it; it is not as reproducible as it says."""


async def play(
    environment: BaseHarness,
    policy: Policy,
    *,
    seed: int | None = None,
    recorded: Sequence[Step] = (),
    spent: float = 0.0,
    on_step: OnStep | None = None,
    most_steps: int | None = None,
    most_refused: int = MOST_REFUSED,
) -> Trajectory:
    """Play an episode from its beginning, or take one up again, until it is over.

    Args:
        seed: from which it is made; None: one is drawn.
        recorded: the steps of the same episode that were taken before, to be taken again first.
        spent: seconds that the recorded part lasted.
        on_step: told of each new step before the player sees what came of it.
        most_steps: after so many the player stops, those included that were refused; None: it plays on.
        most_refused: after so many wrong actions in a row the player stops.

    Raises:
        Diverged: what is recorded went otherwise now.
        EnvironmentFailed: the episode could not be begun, or as many actions in a row failed inside the
            environment.
        InvalidInput: the seed is wrong, or the policy can't play here.
    """
    seen = await environment.reset(**({} if seed is None else {"seed": seed}))
    first = digest(seen)
    if recorded:
        seen = await _take_up(environment, seen, recorded, spent)
    steps = list(recorded)
    while (ending := _ending(environment, seen, steps, most_refused)) is None:
        enough = most_steps is not None and len(steps) >= most_steps
        choice = None if enough else await policy.act(_shown(environment, seen), tuple(steps))
        if choice is None:
            ending = Ending.STOPPED
            break
        faults = _faults(environment)
        result = await environment.step(choice.action, **choice.parameters)
        step = _step_of(len(steps) + 1, seen.agent, choice, result)
        broken = environment.status is HarnessStatus.ERROR
        steps.append(step.model_copy(update={"fault": _faults(environment) > faults, "broken": broken}))
        if on_step is not None:
            await on_step(steps[-1], result)
        seen = result.observation
    return Trajectory(
        environment=environment.name,
        first=first,
        steps=tuple(steps),
        ending=ending,
        stats=environment.get_stats(),
    )


def _shown(environment: BaseHarness, seen: Observation) -> Observation:
    if seen.available_actions:
        return seen
    return seen.model_copy(update={"available_actions": environment.get_action_space()})


def _ending(
    environment: BaseHarness, seen: Observation, steps: Sequence[Step], most_refused: int
) -> Ending | None:
    if seen.done:
        return Ending.TERMINATED if seen.terminated else Ending.TRUNCATED
    if environment.status is HarnessStatus.ERROR:
        return Ending.BROKEN
    in_a_row = _refused_last(steps)
    faults = [step for step in in_a_row if step.fault]
    if len(faults) >= most_refused:
        raise EnvironmentFailed(
            f"{len(faults)} actions in a row failed inside environment {environment.name!r}; "
            f"the last time: {faults[0].error}"
        )
    return Ending.REFUSED if len(in_a_row) - len(faults) >= most_refused else None


def fault_of(trajectory: Trajectory) -> str | None:
    """How its environment kept the player from more, so that the play says nothing of the player; else None.

    It broke; or the last actions before the play was stopped or cut short failed inside the environment.
    """
    environment = trajectory.environment
    faults = [step for step in _refused_last(trajectory.steps) if step.fault]
    if trajectory.ending is Ending.BROKEN:
        because = f": {faults[0].error}" if faults else ""
        return (
            f"An action failed inside environment {environment!r}, which could not be put back to where it "
            f"was{because}"
        )
    cut_short = trajectory.ending in (Ending.STOPPED, Ending.TRUNCATED)
    if not (cut_short and faults and trajectory.steps[-1].fault):
        return None
    last = f"last {len(faults)} actions" if len(faults) > 1 else "last action"
    return f"The {last} of the episode failed inside environment {environment!r}: {faults[0].error}"


def _refused_last(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Those at the end that were not taken, the newest first."""
    return tuple(takewhile(lambda step: not step.success, reversed(steps)))


def _faults(environment: BaseHarness) -> int:
    episode = play_of(environment).episode
    return 0 if episode is None else episode.faults


def _step_of(number: int, agent: str | None, choice: Choice, result: ActionResult) -> Step:
    return Step(
        number=number,
        agent=agent,
        action=choice.action,
        parameters=choice.parameters,
        success=result.success,
        reward=result.reward,
        rewards=result.rewards,
        error=result.error,
        observation=digest(result.observation),
        terminated=result.observation.terminated,
        truncated=result.observation.truncated,
    )


async def _take_up(
    environment: BaseHarness, seen: Observation, recorded: Sequence[Step], spent: float
) -> Observation:
    """Take the recorded steps again; those that were refused are only counted, as they changed nothing.

    But for one that broke the environment: it is broken again.
    """
    for step in recorded:
        if step.success:
            choice = Choice(action=step.action, parameters=step.parameters)
            result = await environment.step(step.action, **step.parameters)
            _compare(environment, step, _step_of(step.number, seen.agent, choice, result))
            seen = result.observation
    episode = play_of(environment).episode
    if episode is None:
        raise EnvironmentFailed(f"environment {environment.name!r} has no episode that could be taken up")
    episode.refused += sum(not step.success for step in recorded)
    if not seen.done:
        episode.spent, episode.began = spent, episode.now()
        if recorded[-1].truncated:  # by a clock, which did not run as far this time
            seen = episode.show(seen.model_copy(update={"truncated": True}))
            environment.status = HarnessStatus.COMPLETED
        if recorded[-1].broken:
            environment.status = HarnessStatus.ERROR
    return seen


def _compare(environment: BaseHarness, recorded: Step, now: Step) -> None:
    for what in ("success", "agent", "reward", "rewards", "observation", "terminated"):
        before, after = getattr(recorded, what), getattr(now, what)
        if before != after:
            because = f" ({now.error})" if now.error else ""
            raise Diverged(
                f"step {recorded.number} of environment {environment.name!r}, {recorded.action!r}, has "
                f"another {what} than is recorded: {after!r}, not {before!r}{because}; the same seed "
                "has to make the same episode: play it from its beginning, or mend the environment"
            )
