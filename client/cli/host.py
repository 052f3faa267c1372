"""What this machine has left, and whether workers begin another agent on it."""

import time

from activities.slots import host_limits
from shiftwork.resources.machine import SHORTEST, Machine
from shiftwork.resources.manager import ResourceManager
from shiftwork.settings import Settings


def look_at_host(settings: Settings) -> str:
    """A line on memory and processors, with the reason if workers with these settings take no task here.

    Takes a tenth of a second, in which the processors are looked at.

    Raises:
        InvalidInput: a setting makes no sense.
    """
    machine = Machine()
    manager = ResourceManager(host_limits(settings, machine), machine=machine)
    time.sleep(SHORTEST)
    usage = manager.get_usage()
    used = (
        f"{usage.memory_percent:.0f} percent of the memory and "
        f"{usage.cpu_percent:.0f} percent of {machine.cpus():g} processors are used"
    )
    within, why_not = manager.check_limits(usage)
    return f"{used}; it has room for another agent" if within else f"{used}; no agent begins: {why_not}"
