"""`check_harness`: an executable test of whether an environment keeps the rules that players rely on.

The base class already holds every environment to much of it; the rules here look beneath, at what only the
environment itself can do right: to begin anew, to be reproducible, to tell the truth.
"""

from collections.abc import Callable

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.conformance.report import ConformanceReport, Fault, NotConforming
from shiftwork.environments.conformance.rules import RULES, Rule
from shiftwork.environments.conformance.subject import NotChecked, Subject, maker
from shiftwork.environments.conformance.wording import raised, sentence
from shiftwork.environments.policies import Policy, RandomPolicy

__all__ = [
    "RULES",
    "ConformanceReport",
    "Fault",
    "NotConforming",
    "Rule",
    "check_harness",
]


async def check_harness(
    environment: BaseHarness | Callable[[], BaseHarness],
    *,
    seed: int = 0,
    episodes: int = 3,
    steps: int = 30,
    player: Policy | None = None,
    call_seconds: float = 30.0,
    block_seconds: float = 0.5,
) -> ConformanceReport:
    """Hold an environment against every rule, by playing it.

    The same arguments do the same again. An instance that is given is copied, and not played with itself;
    only where it can't be copied is it used, and shut down in the end.

    Args:
        environment: an instance, or what makes one: its class, or a function. That finds more, because
            instances that were copied from each other share less than those that were made.
        seed: of the episodes, and of the player.
        episodes: how many are watched closely.
        steps: how many actions each has at most.
        player: chooses the actions, from the observation and the number of steps alone; None: by chance.
        call_seconds: how long one call may take.
        block_seconds: how long `reset` and `step` may keep the event loop from others.

    Raises:
        InvalidInput: what is given is no environment, and makes none.
    """
    make, shared = maker(environment)
    subject = Subject(
        name=environment.name if isinstance(environment, BaseHarness) else "",
        make=make,
        player=player or RandomPolicy(seed),
        seed=seed,
        episodes=episodes,
        steps=steps,
        call_seconds=call_seconds,
        block_seconds=block_seconds,
        shared=shared,
    )
    subject.name = subject.name or subject.fresh().name
    try:
        return await _held_against_the_rules(subject)
    finally:
        await subject.close()


async def _held_against_the_rules(subject: Subject) -> ConformanceReport:
    faults: list[Fault] = []
    checked: list[str] = []
    skipped: list[str] = []
    unkept: set[str] = set()
    for rule in RULES:
        missing = [name for name in rule.after if name in unkept]
        if missing:
            skipped.append(f"{rule.name}: not checked, as it needs {', '.join(missing)}")
            unkept.add(rule.name)
            continue
        try:
            found = await rule.check(subject)
        except NotChecked as reason:
            skipped.append(f"{rule.name}: {reason}")
            continue
        except Exception as error:  # noqa: BLE001 - whatever foreign code raises
            found = [f"the environment {raised(error)} where it may not; mend what raises that"]
        checked.append(rule.name)
        subject.kept[rule.check.__name__] = not found
        unkept |= {rule.name} if found else set()
        faults += [Fault(rule.name, sentence(each)) for each in found[:3]]
    return ConformanceReport(subject.name, tuple(faults), tuple(checked), (*skipped, *subject.notes))
