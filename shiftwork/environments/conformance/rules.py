"""The rules, in the order in which an environment is held against them."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shiftwork.environments.conformance import (
    rules_of_episodes,
    rules_of_failing,
    rules_of_lending,
    rules_of_processes,
    rules_of_telling,
    rules_of_use,
)
from shiftwork.environments.conformance.subject import Subject

_BASIC: Final = ("initialize", "reset", "action-space")
_PLAYED: Final = (*_BASIC, "answers")
_QUICK: Final = (*_PLAYED, "blocking")
"""Of rules that play more episodes: nobody waits for those where each step takes long."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that environments keep.

    Attributes:
        check: looks for faults, and says each in a sentence.
        after: rules that have to be kept before this one can be looked at.
    """

    check: Callable[[Subject], Awaitable[list[str]]]
    after: tuple[str, ...] = _PLAYED

    @property
    def name(self) -> str:
        """How faults name it."""
        return self.check.__name__.replace("_", "-")

    @property
    def why(self) -> str:
        """What it asks for, and why that matters."""
        return inspect.getdoc(self.check) or ""


RULES: Final = (
    Rule(rules_of_use.initialize, after=()),
    Rule(rules_of_use.reset, after=("initialize",)),
    Rule(rules_of_use.action_space, after=("initialize", "reset")),
    Rule(rules_of_telling.answers, after=_BASIC),
    Rule(rules_of_use.blocking),
    Rule(rules_of_telling.reading),
    Rule(rules_of_telling.observations),
    Rule(rules_of_telling.rewards),
    Rule(rules_of_telling.available_actions),
    Rule(rules_of_telling.agents),
    Rule(rules_of_telling.get_observation, after=(*_PLAYED, "reading")),
    Rule(rules_of_telling.is_done, after=(*_PLAYED, "reading")),
    Rule(rules_of_telling.stats, after=(*_PLAYED, "reading", "rewards")),
    Rule(rules_of_failing.exceptions),
    Rule(rules_of_lending.handed_out, after=(*_QUICK, "reading")),
    Rule(rules_of_episodes.separate_instances, after=(*_QUICK, "reading", "observations")),
    Rule(rules_of_episodes.same_seed, after=(*_QUICK, "reading", "observations", "separate-instances")),
    Rule(rules_of_processes.another_process, after=(*_QUICK, "same-seed")),
    Rule(rules_of_episodes.fresh_reset, after=(*_QUICK, "same-seed")),
    Rule(rules_of_failing.refused_actions, after=(*_QUICK, "reading")),
    Rule(rules_of_failing.failed_actions, after=(*_QUICK, "reading", "handed-out", "separate-instances")),
    Rule(rules_of_use.ends, after=(*_QUICK, "reading")),
    Rule(rules_of_use.shutdown, after=_QUICK),
    Rule(rules_of_use.left_behind, after=(*_QUICK, "shutdown")),
)
