"""The keys of projects' models: known before anything runs, so that none is stored or committed."""

import asyncio
import logging
from collections.abc import Iterable

from activities.services import Services
from shiftwork.agents.protocol import Provider
from shiftwork.contracts.project import AgentOptions, ProjectStatus
from shiftwork.errors import InvalidInput
from shiftwork.planning.casting import everybody, key
from shiftwork.secrets import Secret
from shiftwork.secrets.certain import texts
from shiftwork.store.rows import ProjectRow

SECONDS = 20.0
"""How long one key is waited for: a keyring may ask a person first."""

_NAMING = ("credential", "api_key")
"""Settings that say where a key is."""

_CLOSED = (ProjectStatus.COMPLETED, ProjectStatus.ABANDONED)

log = logging.getLogger("shiftwork.credentials")


async def learn_open_projects(services: Services) -> None:
    """Learn the keys of every project that is not closed, before any of them goes on."""
    async with services.store.transaction() as tx:
        projects = await tx.projects.list()
    await learn_credentials(services, *(project for project in projects if project.status not in _CLOSED))


async def learn_credentials(services: Services, *projects: ProjectRow) -> None:
    """Have the redactor know the keys that these projects' agents use; what can't be read is logged."""
    agents = {key(agent): (project, agent) for project in projects for agent in everybody(project.options)}
    found = await asyncio.gather(*(_provider(services, *each) for each in agents.values()))
    pairs = zip(found, agents.values(), strict=True)
    learn(services, ((provider, agent) for provider, (_, agent) in pairs if provider is not None))


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


async def _provider(services: Services, project: ProjectRow, agent: AgentOptions) -> Provider | None:
    """Who answers the agent's questions; None if nobody does, or the key is not where it should be."""
    try:
        async with asyncio.timeout(SECONDS):
            return await asyncio.to_thread(services.backend(agent.backend).provider, agent.settings)
    except (InvalidInput, TimeoutError) as error:
        # Without one of these nothing was promised: programs that have a login of their own need no key.
        setting = next((name for name in _NAMING if agent.settings.get(name)), None)
        if setting is not None:
            log.warning(
                "project %r: the key that its setting %r names can't be read, so it is not kept out of what "
                "is stored: %s",
                *(project.name, setting, error or "nothing answered"),
            )
    return None
