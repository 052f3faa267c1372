"""What the processes of an agent may use, as a project may say it."""

from typing import Annotated, Final

from pydantic import Field

from shiftwork.contracts.base import Message

_MOST: Final = 1_000_000_000
"""A petabyte, or thirty years: more is no limit, and some systems could not be told it."""


class AgentLimits(Message):
    """Limits of one agent, all its processes together unless it says otherwise; None: no limit.

    Attributes:
        cpu_seconds: processor time.
        memory_mb: resident memory, in units of 1,000,000 bytes; None: four fifths of the machine's.
        processes: how many live at once.
        file_size_mb: of any one file that it writes, in units of 1,000,000 bytes.
        open_files: of any one process.
        disk_mb: by how much all the folders that it may write to may grow, in units of 1,000,000 bytes.
    """

    cpu_seconds: Annotated[float, Field(gt=0, le=_MOST)] | None = None
    memory_mb: Annotated[float, Field(gt=0, le=_MOST)] | None = None
    processes: Annotated[int, Field(ge=1, le=_MOST)] | None = 1_000
    file_size_mb: Annotated[float, Field(gt=0, le=_MOST)] | None = 20_000
    open_files: Annotated[int, Field(ge=16, le=_MOST)] | None = None
    disk_mb: Annotated[float, Field(gt=0, le=_MOST)] | None = 50_000
