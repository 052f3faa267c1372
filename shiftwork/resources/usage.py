"""What is used now: of the machine, or by one agent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Room:
    """What of the machine is free. MB are millions of bytes.

    Attributes:
        memory_mb: what can be had without swapping; what agents that just began will want is taken off.
        gpu_memory_mb: of the GPU that has most; None where none was found.
    """

    memory_mb: float
    gpu_memory_mb: float | None = None


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """What is used at a moment. MB are millions of bytes; where there is a container, it is the machine.

    Attributes:
        memory_mb: of the machine, by everybody; or by one agent.
        memory_percent: the same, of the machine's memory.
        cpu_percent: of all processors, 0 to 100, since the last look.
        active_agents: how many run.
        gpu_memory_mb: of all GPUs together; None where none was found.
        room: what is left of the machine; None where this is the usage of one agent.
    """

    memory_mb: float
    memory_percent: float
    cpu_percent: float
    active_agents: int
    gpu_memory_mb: float | None = None
    room: Room | None = None
