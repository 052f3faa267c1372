"""The keys of projects' models: known before anything runs, so that none is stored or committed."""

import asyncio
import logging
from collections.abc import Iterable

from activities.services import Services
from shiftwork.agents.protocol import Provider
from shiftwork.contracts.agent import PYTHON
from shiftwork.contracts.project import AgentOptions, ProjectStatus
from shiftwork.errors import InvalidInput
from shiftwork.planning.casting import everybody, key
from shiftwork.secrets import Secret
from shiftwork.secrets.certain import texts
from shiftwork.store.agents import AgentDefinition
from shiftwork.store.rows import ProjectRow

SECONDS = 20.0
"""How long one key is waited for: a keyring may ask a person first."""

_NAMING = ("credential", "api_key")
"""Settings that say where a key is."""

_CLOSED = (ProjectStatus.COMPLETED, ProjectStatus.ABANDONED)

log = logging.getLogger("shiftwork.credentials")


async def learn_open_projects(services: Services) -> None:
    """Learn the keys of all registered agents and all open projects, before any of them goes on."""
    async with services.store.transaction() as tx:
        projects, unreadable = await tx.projects.readable()
        agents, more = await tx.agents.readable()
    for each in (*unreadable, *more):  # which nothing runs, either
        log.warning("%s", each)
    registered = [agent for agent in agents if agent.kind != PYTHON]
    await learn_credentials(services, *(project for project in projects if project.status not in _CLOSED))
    await learn_keys(services, [(f"agent {agent.name!r}", options_of(agent)) for agent in registered])


async def learn_credentials(services: Services, *projects: ProjectRow) -> None:
    """Have the redactor know the keys that these projects' agents use; what can't be read is logged."""
    agents = [(f"project {each.name!r}", agent) for each in projects for agent in everybody(each.options)]
    await learn_keys(services, agents)


async def learn_keys(services: Services, agents: Iterable[tuple[str, AgentOptions]]) -> None:
    """Have the redactor know the keys that these agents use; what can't be read is logged.

    Args:
        agents: each with whose it is, for the log.
    """
    distinct = {key(agent): (whose, agent) for whose, agent in agents}
    found = await asyncio.gather(*(_provider(services, *each) for each in distinct.values()))
    pairs = zip(found, distinct.values(), strict=True)
    learn(services, ((provider, agent) for provider, (_, agent) in pairs if provider is not None))


def options_of(agent: AgentDefinition) -> AgentOptions:
    """The backend and the settings of a registered agent."""
    return AgentOptions(backend=agent.kind, settings=agent.settings, prices=agent.config.prices)


def learn(services: Services, providers: Iterable[tuple[Provider, AgentOptions]]) -> None:
    """Have the redactor know the keys of these providers.

    One that stands in the agent's settings themselves, by value, is no secret of the worker's: it is stored
    with the project, which would be refused for it.
    """
    keys = {
        provider.credential
        for provider, agent in providers
        if provider.credential and provider.credential not in texts(agent.settings)
    }
    services.redactor.learn(*(Secret("credential", each) for each in sorted(keys)))


async def _provider(services: Services, whose: str, agent: AgentOptions) -> Provider | None:
    """Who answers the agent's questions; None if nobody does, or the key is not where it should be."""
    try:
        async with asyncio.timeout(SECONDS):
            return await asyncio.to_thread(services.backend(agent.backend).provider, agent.settings)
    except (InvalidInput, TimeoutError) as error:
        # Without one of these nothing was promised: programs that have a login of their own need no key.
        setting = next((name for name in _NAMING if agent.settings.get(name)), None)
        if setting is not None:
            log.warning(
                "%s: the key that its setting %r names can't be read, so it is not kept out of what "
                "is stored: %s",
                *(whose, setting, error or "nothing answered"),
            )
    return None
