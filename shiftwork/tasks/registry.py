"""Which processors there are: ours, and those that other packages bring as entry points."""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from shiftwork.tasks.contained import ContainedProcessor
from shiftwork.tasks.processing import Equipment, Processor
from shiftwork.text import one_line

GROUP: Final = "shiftwork.processors"
"""The group of entry points. Each is named as the tasks name its provider, and leads to what makes its
processor: a class or a function that takes the `Equipment`."""

AGENT: Final = "agent"
"""The provider of runs of registered agents, which every worker has."""

_HERE = __package__
OURS: Final = (
    EntryPoint("noop", f"{_HERE}.noop:NoopProcessor", GROUP),
    EntryPoint("github", f"{_HERE}.github:GitHubProcessor", GROUP),
    EntryPoint("llm", f"{_HERE}.llm:LlmProcessor", GROUP),
)
"""Found also where an older version was installed; their names are nobody else's."""

Factory = Callable[[Equipment], Processor]

log = logging.getLogger("shiftwork.tasks")


@dataclass(frozen=True, slots=True)
class FoundProcessors:
    """What was found.

    Attributes:
        factories: what makes each provider's processor.
        problems: a sentence on each that can't be used.
    """

    factories: Mapping[str, Factory]
    problems: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every provider, that of registered agents included."""
        return tuple(sorted({AGENT, *self.factories}))


def find_processors(installed: Iterable[EntryPoint] | None = None) -> FoundProcessors:
    """Look for processors; one that can't be loaded is a problem, and nothing else.

    Args:
        installed: entry points of the group; None: those of this environment.
    """
    others = entry_points(group=GROUP) if installed is None else installed
    factories: dict[str, Factory] = {}
    problems: list[str] = []
    ours = {(entry.name, entry.value) for entry in OURS}
    others = (entry for entry in others if (entry.name, entry.value) not in ours)
    for entry in (*OURS, *sorted(others, key=lambda entry: (entry.name, entry.value))):
        if entry.name == AGENT or entry.name in factories:
            problems.append(f"The processor {_said(entry)} is not used: its name is taken.")
            continue
        try:
            factories[entry.name] = _factory(entry)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - what it does when imported is its own affair
            problems.append(f"The processor {_said(entry)} can't be loaded: {_why(error)}.")
    return FoundProcessors(factories, tuple(problems))


def make_processors(equipment: Equipment, found: FoundProcessors | None = None) -> list[Processor]:
    """The processors of a worker; what can't be used is logged, and left out."""
    found = found or find_processors()
    for problem in found.problems:
        log.warning("%s", problem)
    made: list[Processor] = []
    for name, factory in found.factories.items():
        try:
            made.append(ContainedProcessor(_checked(name, factory(equipment))))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            log.warning("The processor of %r can't be made: %s.", name, _why(error))
    return made


def _factory(entry: EntryPoint) -> Factory:
    factory: Factory = entry.load()
    if not callable(factory):
        raise TypeError("it is neither a class nor a function")
    return factory


def _checked(name: str, processor: Processor) -> Processor:
    if getattr(processor, "name", None) != name:
        raise TypeError(
            f"its 'name' is {getattr(processor, 'name', None)!r}, and not that of its entry point"
        )
    if not isinstance(getattr(processor, "outward", None), bool):
        raise TypeError("its 'outward' has to be True or False")
    if not inspect.iscoroutinefunction(getattr(processor, "process", None)):
        raise TypeError("its 'process' has to be an 'async def'")
    return processor


def _said(entry: EntryPoint) -> str:
    return f"{entry.name!r} ({entry.value}{f' of {entry.dist.name}' if entry.dist else ''})"


def _why(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}").rstrip(".")
