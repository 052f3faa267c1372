"""Who does what: which role a feature asks for, and which agent plays it now."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from shiftwork.contracts.feature import FeatureCategory
from shiftwork.contracts.project import AgentOptions, ProjectOptions
from shiftwork.contracts.session import Role
from shiftwork.contracts.state import FeatureState, ProjectState, Rest

ROLE_OF: Mapping[FeatureCategory, Role] = {
    FeatureCategory.FUNCTIONAL: Role.SESSION,
    FeatureCategory.UI: Role.SESSION,
    FeatureCategory.INTEGRATION: Role.RESEARCH,
    FeatureCategory.TESTING: Role.TESTING,
    FeatureCategory.DOCUMENTATION: Role.DOCUMENTATION,
    FeatureCategory.PERFORMANCE: Role.SESSION,
    FeatureCategory.SECURITY: Role.SESSION,
}
"""The role that a feature of this category asks for, unless the project says otherwise."""

Resting = Mapping[str, Rest]
"""Agents, by key, whose provider takes no work from us."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who can play a role, best first. Never empty."""

    agents: tuple[AgentOptions, ...]

    def find(self, identity: str) -> AgentOptions:
        """The agent of that key; the first if there is none any more."""
        return next((agent for agent in self.agents if key(agent) == identity), self.agents[0])

    def available(self, resting: Resting, now: datetime) -> AgentOptions | None:
        """The first whose provider takes work; None if nobody's does."""
        return next((agent for agent in self.agents if not _rests(agent, resting, now)), None)

    def back_at(self, resting: Resting, now: datetime) -> datetime | None:
        """When the first of them is back, if all rest; None: when a person resumes, or somebody is there."""
        if self.available(resting, now) is not None:
            return None
        rests = [resting[key(agent)].until for agent in self.agents]
        return min(filter(None, rests), default=None)


def role_of(options: ProjectOptions, category: FeatureCategory | None) -> Role:
    """The role that does this category's features; None is planning."""
    if category is None:
        return Role.INITIALIZER
    chosen = options.categories.get(category)
    return chosen.role if chosen is not None and chosen.role is not None else ROLE_OF[category]


def cast(options: ProjectOptions, role: Role, category: FeatureCategory | None = None) -> Cast:
    """Who can play this role, for features of this category."""
    chosen = options.categories.get(category) if category is not None else None
    first = (chosen.agent if chosen else None) or options.roles.get(role) or options.agent
    return Cast((first.model_copy(update={"fallbacks": ()}), *first.fallbacks))


def key(agent: AgentOptions) -> str:
    """A short name for an agent that is the same wherever its backend and settings are."""
    told = json.dumps([agent.backend, agent.settings], sort_keys=True)
    return sha256(told.encode()).hexdigest()[:12]


def named(agent: AgentOptions | None, backend: str, model: str) -> dict[str, str]:
    """What people know an agent by, under these names; nothing of nobody, and no model if none is set."""
    if agent is None:
        return {}
    chosen = agent.settings.get("model")
    return {backend: agent.backend} | ({model: chosen} if isinstance(chosen, str) else {})


def cast_of(state: ProjectState, feature: FeatureState | None) -> Cast:
    """Who can do this feature; None is planning."""
    category = feature.category if feature else None
    return cast(state.options, role_of(state.options, category), category)


def needed(state: ProjectState, feature: FeatureState | None) -> Cast | None:
    """Who has to be there for the next session of this feature; None if nobody has.

    What is finished needs no agent any more, unless somebody has to judge it.
    """
    if feature is None or feature.candidate is None:
        return cast_of(state, feature)
    return None if feature.verifiable else cast(state.options, Role.VERIFIER)


def everybody(options: ProjectOptions) -> tuple[AgentOptions, ...]:
    """Every agent that may play a part in this project, each once."""
    chosen = [options.agent, *options.roles.values()]
    chosen += [category.agent for category in options.categories.values() if category.agent is not None]
    agents = [agent for first in chosen for agent in (first, *first.fallbacks)]
    return tuple({key(agent): agent for agent in reversed(agents)}.values())[::-1]


def judged(options: ProjectOptions) -> bool:
    """Whether somebody judges steps that have no command."""
    return Role.VERIFIER in options.roles


def _rests(agent: AgentOptions, resting: Resting, now: datetime) -> bool:
    rest = resting.get(key(agent))
    return rest is not None and (rest.until is None or rest.until > now)
