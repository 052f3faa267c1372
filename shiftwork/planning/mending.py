"""Other settings for an agent of a project that exists: what it was started with may have been wrong."""

from collections.abc import Collection, Mapping
from typing import NoReturn

from pydantic import JsonValue

from shiftwork.contracts.project import AgentOptions, AgentPlace, ProjectOptions
from shiftwork.errors import InvalidInput

_OWN = AgentPlace()


def with_settings(
    options: ProjectOptions, settings: Mapping[str, JsonValue], place: AgentPlace = _OWN
) -> ProjectOptions:
    """The options with these settings over those of an agent; a setting that is None goes.

    Args:
        place: whose settings.

    Raises:
        InvalidInput: there is no agent at that place.
    """
    if not settings:
        return options
    first = _first(options, place)
    if place.fallback is None:
        return _with_first(options, place, _given(first, settings))
    agents = list(first.fallbacks)
    if not 1 <= place.fallback <= len(agents):
        raise InvalidInput(
            f"there is no fallback {place.fallback} of {_name(place)}, which has {len(agents)}: "
            "give the number of one, or leave it out to change the agent itself."
        )
    agents[place.fallback - 1] = _given(agents[place.fallback - 1], settings)
    return _with_first(options, place, first.model_copy(update={"fallbacks": tuple(agents)}))


def _given(agent: AgentOptions, settings: Mapping[str, JsonValue]) -> AgentOptions:
    merged = {name: value for name, value in {**agent.settings, **settings}.items() if value is not None}
    return agent.model_copy(update={"settings": merged})


def _first(options: ProjectOptions, place: AgentPlace) -> AgentOptions:
    """The agent there, or the one whose fallback is meant."""
    if place.role is not None and place.category is not None:
        raise InvalidInput("a role and a category are named: say one of them, whose agent is meant.")
    if place.role is not None:
        return options.roles.get(place.role) or _nobody("plays", "role", place.role, options.roles)
    if place.category is None:
        return options.agent
    own = {name: chosen.agent for name, chosen in options.categories.items() if chosen.agent is not None}
    return own.get(place.category) or _nobody("does", "category", place.category, own)


def _nobody(does: str, what: str, name: str, own: Collection[str]) -> NoReturn:
    raise InvalidInput(
        f"no agent of its own {does} the {what} {str(name)!r} (those that have one: "
        f"{', '.join(own) or 'none'}): leave the {what} out to change the project's agent."
    )


def _with_first(options: ProjectOptions, place: AgentPlace, agent: AgentOptions) -> ProjectOptions:
    if place.role is not None:
        return options.model_copy(update={"roles": {**options.roles, place.role: agent}})
    if place.category is None:
        return options.model_copy(update={"agent": agent})
    chosen = options.categories[place.category].model_copy(update={"agent": agent})
    return options.model_copy(update={"categories": {**options.categories, place.category: chosen}})


def _name(place: AgentPlace) -> str:
    if place.role is not None:
        return f"the agent of the role {str(place.role)!r}"
    return "the project's agent" if place.category is None else f"the agent of {str(place.category)!r}"
