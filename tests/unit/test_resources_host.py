"""What settings say of the room that a worker needs, and what `doctor` says of it."""

import pytest

from activities.slots import host_limits
from client.cli.host import look_at_host
from shiftwork.errors import InvalidInput
from shiftwork.resources import Machine
from shiftwork.settings import Settings


def settings(**variables: str) -> Settings:
    return Settings.from_environment({f"SHIFTWORK_{name}": value for name, value in variables.items()})


def test_by_default_a_tenth_of_the_memory_stays_free():
    """If it failed, a worker would begin agents until the kernel kills something."""
    machine = Machine()
    limits = host_limits(settings(), machine)
    assert limits.max_memory_mb == pytest.approx(machine.memory().total / 10_000_000)
    assert (limits.max_cpu_percent, limits.max_concurrent_agents) == (95, 8)
    assert limits.max_gpu_memory_mb is None


def test_settings_say_what_must_be_free():
    """If it failed, a setting would be read and forgotten."""
    given = settings(FREE_MEMORY_MB="700", MAX_CPU_PERCENT="60", FREE_GPU_MEMORY_MB="9000", PROCESS_SLOTS="0")
    limits = host_limits(given, Machine())
    assert (limits.max_memory_mb, limits.max_cpu_percent, limits.max_gpu_memory_mb) == (700, 60, 9000)
    assert limits.max_concurrent_agents == 1, "a worker without slots would starve its queue"


def test_a_setting_that_makes_no_sense_is_refused():
    """If it failed, a worker would start and never take a task."""
    with pytest.raises(InvalidInput, match="max_cpu_percent is 101"):
        host_limits(settings(MAX_CPU_PERCENT="101"), Machine())


def test_doctor_says_why_no_agent_begins():
    """If it failed, people would have to guess why nothing happens."""
    assert look_at_host(settings(FREE_MEMORY_MB="1", MAX_CPU_PERCENT="100")).endswith(
        "it has room for another agent"
    )
    assert "no agent begins: The limit max_memory_mb of 900000000 is violated: no more than" in look_at_host(
        settings(FREE_MEMORY_MB="900000000")
    )
