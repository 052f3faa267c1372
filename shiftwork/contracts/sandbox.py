"""How far a project's agents and commands are confined."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from shiftwork.contracts.base import Message

_MOST_PATHS = 100


class Profile(StrEnum):
    """What agents and verification steps may reach.

    `strict`: their own folders and the model, nothing else. `networked`: also the hosts that the project
    lists, through the gateway. `open`: everything that the worker's user can.
    """

    STRICT = "strict"
    NETWORKED = "networked"
    OPEN = "open"


class SandboxOptions(Message):
    """The confinement of one project.

    Attributes:
        profile: see `Profile`.
        readable: absolute paths beside the system's own that may be read; no devices, and at most 100.
        writable: the same for those that may be written too; what is left there is nobody's to verify.
        hosts: for `networked`: `host`, `host:port` or `*.domain`; without a port, 443 and 80.
        setup_hosts: the same for set-up commands, whatever the profile; `*` is every public host. None: all
            of them for the commands that a person gave, and none for those of an agent's plan.
        scratch_mb: what the private memory of `/dev/shm` and of `/tmp`, where that is memory, may hold, in
            units of 1,000,000 bytes.
    """

    profile: Profile = Profile.STRICT
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    setup_hosts: tuple[str, ...] | None = None
    scratch_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000

    @field_validator("readable", "writable")
    @classmethod
    def _paths_are_absolute(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        if len(paths) > _MOST_PATHS:
            raise ValueError(f"{len(paths)} paths are listed, and {_MOST_PATHS} may be; list a folder above")
        for path in paths:
            if not path.startswith("/") or ".." in Path(path).parts or "\0" in path:
                raise ValueError(f"{path!r} is no absolute path without '..'")
            if Path(path) == Path("/"):
                raise ValueError("the whole file system can't be listed; use the profile 'open' instead")
            if Path(path).is_relative_to("/dev"):
                raise ValueError(f"{path!r} can't be listed: a program has devices of its own, and no others")
        return paths
