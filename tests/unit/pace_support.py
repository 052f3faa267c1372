"""How long something takes beside what this machine needs for a known work in the same moment.

Seconds say as much of the machine, and of who else uses it, as of the code.
"""

import json
import time
from collections.abc import Callable

_KNOWN = json.dumps([{"name": f"{n}", "value": [n, n / 2, None]} for n in range(10_000)])
"""About half a megabyte; to read it takes a hundredth of a second on a machine of its time."""

Clock = Callable[[], float]


def known_work(clock: Clock = time.thread_time) -> float:
    """Seconds for the known work: the least of some tries."""

    def once() -> float:
        began = clock()
        json.loads(_KNOWN)
        return clock() - began

    return min(once() for _ in range(5))


def paces(call: Callable[[], object], clock: Clock = time.thread_time) -> float:
    """How many times as long as the known work it takes; that is looked at before and behind it."""
    before = known_work(clock)
    began = clock()
    call()
    took = clock() - began
    pace = took / max(before, known_work(clock))
    print(f"{took * 1000:.1f} ms, {pace:.2f} times the known work")
    return pace
