"""Where a confined program sees its folders, and what it is told of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shiftwork.contracts.sandbox import Profile, SandboxOptions
from shiftwork.errors import InvalidInput
from shiftwork.sandbox.base import Sandbox
from shiftwork.sandbox.confinement import Bind, Confinement, Network

WORKSPACE: Final = Path("/workspace")
BRIEF: Final = Path("/brief")
OUTBOX: Final = Path("/outbox")
HOME: Final = Path("/home/agent")
TMP: Final = Path("/tmp")  # noqa: S108 - of the program's own


@dataclass(frozen=True, slots=True)
class Cell:
    """The folders of one confined program.

    Attributes:
        confinement: what it may touch; None: the project's profile is `open`.
    """

    confinement: Confinement | None

    @property
    def binds(self) -> tuple[Bind, ...]:
        """What it sees, beside the system."""
        return self.confinement.binds if self.confinement else ()

    def seen(self, path: Path) -> Path:
        """Where the program sees this absolute path."""
        return seen(self.binds, path)


def seen(binds: Iterable[Bind], path: Path) -> Path:
    """Where a program with these binds sees an absolute path of this machine."""
    inside = [bind for bind in binds if path.is_relative_to(bind.source)]
    if not inside:
        return path
    bind = max(inside, key=lambda bind: len(bind.source.parts))
    return bind.target / path.relative_to(bind.source)


def make_cell(
    sandbox: Sandbox,
    options: SandboxOptions,
    folders: Sequence[Bind],
    *,
    network: Network = Network.NONE,
    user: int | None = None,
    gateway_port: int | None = None,
) -> Cell:
    """The cell of one program.

    Args:
        folders: the harness's own, with the targets they get where a sandbox can move them.
        network: `NONE`, or `DOOR` for the gateway.
        user: who it runs as; None: our own user.
        gateway_port: where the gateway listens, if not at a door.

    Raises:
        InvalidInput: a path that the project lists does not exist, or is a device.
    """
    if options.profile is Profile.OPEN:
        return Cell(None)
    own = [bind if sandbox.moves_binds else Bind(bind.source, bind.source, bind.writable) for bind in folders]
    listed = [*_listed(options.readable, writable=False), *_listed(options.writable, writable=True)]
    return Cell(
        Confinement(
            binds=(*listed, *own),
            network=network,
            user=user,
            scratch_mb=options.scratch_mb,
            gateway_port=gateway_port,
        )
    )


def _listed(paths: Iterable[str], *, writable: bool) -> Iterable[Bind]:
    for text in paths:
        path = Path(text)
        if not _is_there(path):
            which = "writable" if writable else "readable"
            raise InvalidInput(
                f"The path {text!r}, which 'sandbox' lists as {which}, does not exist on this worker, or is "
                "closed to it; make it, or take it off the list."
            )
        source = path.resolve()
        if source.is_relative_to("/dev") or path.is_char_device() or path.is_block_device():
            raise InvalidInput(
                f"The path {text!r}, which 'sandbox' lists, is a device or leads to one; take it "
                "off the list: a program has devices of its own, and no others."
            )
        yield Bind(source, source, writable)
        if path != source:
            yield Bind(source, path, writable)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # it lies in a folder that is closed to us, or no file can have such a name
        return False
