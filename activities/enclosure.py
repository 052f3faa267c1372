"""How one agent is held, and what it reaches: its cell, its way to the model, its process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from activities.as_metered import allowed_models
from activities.credentials import learn
from activities.folders import Folders
from activities.services import Services
from shiftwork.agents.environment import TOKEN_VARIABLE, URL_VARIABLE
from shiftwork.agents.listening import OnEvent
from shiftwork.agents.protocol import AgentBackend, AgentRequest, ModelAccess, Provider
from shiftwork.agents.run import AgentEnd, run_agent_process
from shiftwork.contracts.project import AgentOptions
from shiftwork.contracts.sandbox import Profile, SandboxOptions
from shiftwork.gateway import ENVIRONMENT_PATH, GatewaySession, Policy, Upstream, Wire
from shiftwork.runner.limits import Limits
from shiftwork.runner.spec import StopSignal
from shiftwork.sandbox.cell import Cell, make_cell
from shiftwork.sandbox.confinement import Network
from shiftwork.verification.shell import proxy_environment


class Enclosure:
    """Holds one run of an agent, whoever it works for.

    Args:
        agent: its backend and its settings.
        sandbox: what it may touch.
        user: who it runs as; None: our own user.
        learn_keys: has the redactor know the keys that an agent without a gateway reads itself.

    Attributes:
        provider: whom the gateway stands in for, and then counts what is spent; None before `way_out`, and
            where there is none.
    """

    def __init__(
        self,
        services: Services,
        agent: AgentOptions,
        sandbox: SandboxOptions,
        user: int | None,
        learn_keys: Callable[[], Awaitable[None]],
    ) -> None:
        self._services = services
        self._agent = agent
        self._options = sandbox
        self._user = user
        self._learn_keys = learn_keys
        self.backend: AgentBackend = services.backend(agent.backend)
        self.provider: Provider | None = None
        self._plays = False

    @property
    def level(self) -> str:
        """The sandbox that confines it."""
        return self._services.held_by(self._options)

    @property
    def _confined(self) -> bool:
        return self._options.profile is not Profile.OPEN

    @property
    def _has_door(self) -> bool:
        return self._confined and self._services.sandbox.own_network

    @asynccontextmanager
    async def way_out(self, policy: Policy) -> AsyncIterator[GatewaySession | None]:
        """The gateway, if the agent has anything to reach through it.

        Args:
            policy: who listens and who may stop it; where it leads to is found here.

        Raises:
            InvalidInput: credentials are missing, or a setting can't be kept.
        """
        options, settings = self._options, self._agent.settings
        if not self._confined and not settings.get("credential"):
            allowed_models(None, settings)
            await self._learn_keys()
            # It reaches its provider itself, with the credentials that it is given.
            async with self._opened(policy, door=False) as session:
                yield session
            return
        provider = await asyncio.to_thread(self.backend.provider, settings)
        models = allowed_models(provider, settings)
        self.provider = provider
        if provider is not None:
            learn(self._services, [(provider, self._agent)])
        hosts = options.hosts if options.profile is Profile.NETWORKED else ()
        policy = replace(
            policy,
            upstream=_upstream(provider) if provider else None,
            model_hosts=self._services.settings.model_hosts or (),
            models=models,
            hosts=hosts,
        )
        async with self._opened(policy, door=self._has_door) as session:
            yield session

    @asynccontextmanager
    async def _opened(self, policy: Policy, *, door: bool) -> AsyncIterator[GatewaySession | None]:
        self._plays = policy.environment is not None
        if policy.upstream is None and not policy.hosts and not self._plays:
            yield None
            return
        async with self._services.gateway.open(policy, door=door) as session:
            yield session

    def cell(self, folders: Folders, way_out: GatewaySession | None) -> Cell:
        """Where it sees what; raises `InvalidInput` for a listed path that is not there."""
        return make_cell(
            self._services.sandbox,
            self._options,
            folders.binds(),
            network=Network.DOOR if way_out else Network.NONE,
            user=self._user,
            gateway_port=way_out.port if way_out and not self._has_door else None,
        )

    def access(self, way_out: GatewaySession | None) -> ModelAccess | None:
        """What it is told of the gateway."""
        if way_out is None or self.provider is None:
            return None
        return ModelAccess(way_out.url, way_out.token, self.provider.header)

    async def run(
        self,
        request: AgentRequest,
        folders: Folders,
        cell: Cell,
        way_out: GatewaySession | None,
        *,
        timeout: float,
        limits: Limits,
        on_event: OnEvent,
        stop: StopSignal,
        stall_timeout: float | None = None,
        sealed: bool = False,
    ) -> AgentEnd:
        """Run its process to its end; see `run_agent_process`."""
        scratch = str(cell.seen(folders.scratch))
        return await run_agent_process(
            self.backend,
            request,
            env={"HOME": scratch, "TMPDIR": scratch, **self._proxies(way_out), **self._environment(way_out)},
            sandbox=self._services.sandbox,
            timeout=timeout,
            limits=limits,
            stall_timeout=stall_timeout,
            lock_file=folders.run / "agent.lock",
            confinement=cell.confinement,
            door=way_out.door_fd if way_out and self._has_door else None,
            on_event=on_event,
            before_start=lambda: self._hand_over(folders),
            stop=stop,
            redactor=self._services.redactor,
            sealed=sealed,
        )

    def _proxies(self, way_out: GatewaySession | None) -> dict[str, str]:
        listed = self._options.profile is Profile.NETWORKED and self._options.hosts
        return proxy_environment(way_out) if listed else {}

    def _environment(self, way_out: GatewaySession | None) -> dict[str, str]:
        """Where it finds the environment that it plays."""
        if way_out is None or not self._plays:
            return {}
        return {URL_VARIABLE: way_out.url + ENVIRONMENT_PATH, TOKEN_VARIABLE: way_out.token}

    async def _hand_over(self, folders: Folders) -> None:
        if self._user is not None:
            await asyncio.to_thread(folders.give_to, self._user)


def _upstream(provider: Provider) -> Upstream:
    return Upstream(
        Wire(provider.wire), provider.base_url, provider.credential or None, header=provider.header
    )
