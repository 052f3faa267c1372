"""A program plays an episode, in a folder and a sandbox of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from activities.players import AskedPlayer, Seat
from activities.services import Services
from shiftwork.contracts.sandbox import Profile
from shiftwork.contracts.task import TaskUsage
from shiftwork.environments.commanded import CommandPlayer, player_seed
from shiftwork.runner.process import Process
from shiftwork.verification.shell import Shell


class _Seated(CommandPlayer):
    """The same, with what an episode wants to know of its player."""

    def __init__(self, process: Process, seat: Seat, shell: Shell, level: str) -> None:
        super().__init__(
            process,
            seed=player_seed(seat.key, seat.seed),
            history=seat.recorded,
            patience=seat.spec.player.answer_timeout,
            redact=shell.redact,
        )
        self.level = level

    @property
    def usage(self) -> TaskUsage | None:
        """It asks no model that we would know of."""
        return None


@asynccontextmanager
async def command_player(services: Services, seat: Seat) -> AsyncIterator[AskedPlayer]:
    """Seat a program; on leaving nothing of it lives.

    Raises:
        InvalidInput: a path that `sandbox` lists is not there.
        AgentError: it can't be started.
    """
    spec, command = seat.spec, seat.spec.player.command
    assert command is not None, "checked by the contract"
    user = services.user_at(seat.folder, spec.sandbox)
    services.enclose_task(seat.folder, user)
    workspace = seat.folder / "workspace"
    workspace.mkdir(mode=0o700)
    networked = spec.sandbox.profile is Profile.NETWORKED
    shell = Shell(
        services.sandbox,
        spec.sandbox,
        gateway=services.gateway,
        hosts=spec.sandbox.hosts if networked else (),
        user=user,
        limits=services.limits_of(spec.limits),
        redact=services.redactor.redact,
    )
    scratch = seat.folder / "scratch"
    async with shell.talk(command, cwd=workspace, scratch=scratch) as process:
        yield _Seated(process, seat, shell, services.held_by(spec.sandbox))
