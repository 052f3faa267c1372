"""What one agent may use, and how many may run at once."""

import math
from dataclasses import dataclass, fields

from shiftwork.errors import InvalidInput
from shiftwork.runner.limits import Limits

_MOST = 1_000_000_000
_WHOLE = frozenset({"max_concurrent_agents"})
_OPTIONAL = frozenset({"max_gpu_memory_mb"})


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """Limits of each agent, and of how many there are. MB are millions of bytes.

    Attributes:
        max_memory_mb: what one agent's processes may hold together; none begins while the machine has less
            free.
        max_cpu_percent: of all processors that the machine, or its container, gives us: what one agent may
            use, on average of the longest time that it may run; none begins while all that runs uses more.
        max_concurrent_agents: how many may run at once.
        max_execution_time: seconds that one may run.
        max_gpu_memory_mb: what one may hold of GPUs; none begins while no GPU has that free. None: GPUs are
            not looked at.

    Raises:
        InvalidInput: a limit makes no sense.
    """

    max_memory_mb: float = 256
    max_cpu_percent: float = 50.0
    max_concurrent_agents: int = 5
    max_execution_time: float = 300
    max_gpu_memory_mb: float | None = None

    def __post_init__(self) -> None:
        for one in fields(self):
            self._check(one.name, getattr(self, one.name))
        if self.max_cpu_percent > 100:
            raise InvalidInput(
                f"The limit max_cpu_percent is {self.max_cpu_percent:g}; it must be at most 100, "
                "which is all processors."
            )

    def _check(self, name: str, value: object) -> None:
        if value is None and name in _OPTIONAL:
            return
        kinds = (int,) if name in _WHOLE else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            kind = "a whole number" if name in _WHOLE else "a number"
            raise InvalidInput(f"The limit {name} is {value!r}; it must be {kind}.")
        if math.isnan(value) or not 0 < value <= _MOST:
            raise InvalidInput(
                f"The limit {name} is {value!r}; it must be more than 0, and at most {_MOST:,}."
            )

    def for_runner(self, cpus: float) -> Limits:
        """The same for the runner, which ends whoever breaches them; its time is `ProcessSpec.timeout`.

        Args:
            cpus: how many processors 100 percent are: see `Machine.cpus`.
        """
        seconds = self.max_execution_time * cpus * self.max_cpu_percent / 100
        return Limits(cpu_seconds=min(seconds, _MOST), memory_mb=self.max_memory_mb)
