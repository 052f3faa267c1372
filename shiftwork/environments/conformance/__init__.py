"""`check_harness`: an executable test of whether an environment keeps the rules that players rely on.

The base class already holds every environment to much of it; the rules here look beneath, at what only the
environment itself can do right: to begin anew, to be reproducible, to tell the truth.
"""

from collections.abc import Callable

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.conformance.isolated import check_by_name
from shiftwork.environments.conformance.making import ByName, maker
from shiftwork.environments.conformance.report import ConformanceReport, Fault, NotConforming
from shiftwork.environments.conformance.rules import RULES, Rule
from shiftwork.environments.conformance.subject import NotChecked, Subject
from shiftwork.environments.conformance.wording import CallFailed, raised, sentence
from shiftwork.environments.failures import is_failure
from shiftwork.environments.policies import Policy, RandomPolicy

__all__ = [
    "RULES",
    "ByName",
    "ConformanceReport",
    "Fault",
    "NotConforming",
    "Rule",
    "check_by_name",
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
    on_call: Callable[[str], None] = lambda _: None,
    on_report: Callable[[ConformanceReport], None] = lambda _: None,
) -> ConformanceReport:
    """Hold an environment against every rule, by playing it.

    The same arguments do the same again. An instance that is given is copied, and not played with itself;
    only where it can't be copied is it used, and shut down in the end. What neither waits nor returns can't
    be interrupted here; `check_by_name` can.

    Args:
        environment: an instance, or what makes one: its class, a function, or a `ByName`. That finds more,
            because instances that were copied from each other share less than those that were made.
        seed: of the episodes, and of the player.
        episodes: how many are watched closely.
        steps: how many actions each has at most.
        player: chooses the actions, from the observation and the number of steps alone; None: by chance.
        call_seconds: how long one call may take.
        block_seconds: how long `reset` and `step` may keep the event loop from others.
        on_call: is told of each call of the environment before it is made.
        on_report: is told what is known by now, after each rule.

    Raises:
        InvalidInput: what is given is no environment, and makes none.
    """
    made = maker(environment)
    subject = Subject(
        name=environment.name if isinstance(environment, BaseHarness) else "",
        make=made.make,
        player=player or RandomPolicy(seed),
        seed=seed,
        episodes=episodes,
        steps=steps,
        call_seconds=call_seconds,
        block_seconds=block_seconds,
        shared=made.shared,
        by_name=made.by_name,
        on_call=on_call,
    )
    subject.name = subject.name or subject.fresh().name
    try:
        return await _held_against_the_rules(subject, on_report)
    finally:
        await subject.close()


async def _held_against_the_rules(
    subject: Subject, on_report: Callable[[ConformanceReport], None]
) -> ConformanceReport:
    faults: list[Fault] = []
    checked: list[str] = []
    skipped: list[str] = []
    passed_over = _PassedOver()

    def report() -> ConformanceReport:
        told = (*skipped, *passed_over.sentences, *subject.notes)
        return ConformanceReport(subject.name, tuple(faults), tuple(checked), told)

    for rule in RULES:
        if passed_over.holds(rule, subject.hung):
            continue
        try:
            found = await rule.check(subject)
        except NotChecked as reason:
            skipped.append(f"{rule.name}: {reason}")
            continue
        except BaseException as error:  # whatever people's code raises
            if not is_failure(error):
                raise
            found = [_failed(subject, error)]
        checked.append(rule.name)
        subject.kept[rule.check.__name__] = not found
        if found:
            passed_over.because[rule.name] = f"{rule.name!r} is not kept"
        faults += [Fault(rule.name, sentence(each)) for each in found[:3]]
        on_report(report())
    return report()


class _PassedOver:
    """Rules that are not looked at.

    Attributes:
        because: why rules that need one can't be looked at, by its name.
    """

    def __init__(self) -> None:
        self.because: dict[str, str] = {}
        self._rules: dict[str, list[str]] = {}

    def holds(self, rule: Rule, hung: str) -> bool:
        """Whether this is one of them.

        Args:
            hung: a call that did not answer; nothing is looked at after it.
        """
        reasons = [self.because[name] for name in rule.after if name in self.because]
        reason = sentence(hung) or next(iter(reasons), "")
        if reason:
            self.because[rule.name] = reason
            self._rules.setdefault(reason, []).append(rule.name)
        return bool(reason)

    @property
    def sentences(self) -> list[str]:
        """Which, and why."""
        return [f"{', '.join(names)}: not looked at, because {why}" for why, names in self._rules.items()]


def _failed(subject: Subject, error: BaseException) -> str:
    if isinstance(error, CallFailed):
        return f"{error}; let it answer, and raise nothing"
    return f"{subject.doing} {raised(error)}; let it raise nothing there"
