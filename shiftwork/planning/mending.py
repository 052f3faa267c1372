"""Other settings for an agent of a project that exists: what it was started with may have been wrong."""

from collections.abc import Mapping

from pydantic import JsonValue

from shiftwork.contracts.project import ProjectOptions
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput


def with_settings(
    options: ProjectOptions, settings: Mapping[str, JsonValue], role: Role | None = None
) -> ProjectOptions:
    """The options with these settings over those of an agent; a setting that is None goes.

    Args:
        role: whose settings; None: those of the project's own agent.

    Raises:
        InvalidInput: no agent of its own plays that role.
    """
    if not settings:
        return options
    agent = options.agent if role is None else options.roles.get(role)
    if agent is None:
        own = ", ".join(options.roles) or "none"
        raise InvalidInput(
            f"no agent of its own plays the role {str(role)!r} (those that have one: {own}): "
            "leave the role out to change the project's agent."
        )
    merged = {name: value for name, value in {**agent.settings, **settings}.items() if value is not None}
    agent = agent.model_copy(update={"settings": merged})
    if role is None:
        return options.model_copy(update={"agent": agent})
    return options.model_copy(update={"roles": {**options.roles, role: agent}})
