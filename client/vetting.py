"""What can be seen of a project's options before anybody is asked to work by them."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from shiftwork.contracts.project import ProjectOptions
from shiftwork.contracts.sandbox import Profile, SandboxOptions
from shiftwork.errors import InvalidInput
from shiftwork.planning.casting import everybody
from shiftwork.secrets.refusing import refuse_secrets


def vet_options(options: ProjectOptions, redactor: Any) -> None:
    """Raise `InvalidInput` for what could never work, and for secrets, which would be stored."""
    _check_agents(options)
    check_hosts(options.sandbox)
    told = [agent.model_dump(mode="json") for agent in everybody(options)]
    if redactor.redact_json(told) != told:
        raise InvalidInput(
            "The agent's settings hold a secret, and they are stored: have the worker know it as a "
            "variable of its environment, and name that: in 'credential' as env:NAME if it is the key of "
            "the agent's model, else in 'pass_environment'."
        )
    refuse_secrets("The project's options", options.model_dump(mode="json"), redactor)


def _check_agents(options: ProjectOptions) -> None:
    """Raise `InvalidInput` for an agent that could never start."""
    for agent in everybody(options):
        check_agent(agent.backend, agent.settings)


def check_agent(backend: str, settings: Mapping[str, JsonValue]) -> None:
    """Raise `InvalidInput` for a backend that is not known, or could never start with these settings."""
    from shiftwork.agents.registry import find_backend  # noqa: PLC0415 - every backend, and only this needs them

    find_backend(backend).check(settings)


def check_hosts(sandbox: SandboxOptions) -> None:
    """Raise `InvalidInput` for a host that nobody could reach; the worker would refuse it later."""
    from shiftwork.gateway.hosts import HostPattern  # noqa: PLC0415 - heavy, and only this needs it

    if sandbox.hosts and sandbox.profile is not Profile.NETWORKED:
        raise InvalidInput(
            f"sandbox.hosts: {sandbox.hosts[0]!r} has no effect in the profile {sandbox.profile.value!r}; "
            "give the profile networked too."
        )
    for name, hosts in (("hosts", sandbox.hosts), ("setup_hosts", sandbox.setup_hosts or ())):
        for host in hosts:
            try:
                HostPattern.parse(host)
            except InvalidInput as error:
                raise InvalidInput(f"sandbox.{name}: {error}") from error
