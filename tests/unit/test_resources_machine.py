"""What a machine or a container has and uses, read from trees of files as kernels lay them out."""

from pathlib import Path

import psutil
import pytest

from shiftwork.resources import Machine
from shiftwork.resources.cgroup import Cgroups

GB = 1_000_000_000
V2 = "35 24 0:30 {root} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "{id} 24 0:{id} {root} /sys/fs/cgroup/{name} rw shared:1 master:2 - cgroup cgroup rw,{name}\n"


class Copy:
    """A folder that stands for `/`: a machine of 16 GiB, half of it available, with two processors."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 100.0
        self.write("proc/meminfo", "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n")
        self.ran(busy=0, idle=0)

    def write(self, path: str, text: str) -> None:
        """A file of it."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def group(self, folder: str, **files: object) -> None:
        """The files of a group; `memory__max` is `memory.max`."""
        for name, text in files.items():
            self.write(f"sys/fs/cgroup/{folder}/{name.replace('__', '.')}", f"{text}\n")

    def here(self, groups: str, mounts: str) -> None:
        """What a process reads of its groups."""
        self.write("proc/self/cgroup", groups)
        self.write("proc/self/mountinfo", "25 1 8:1 / / rw - ext4 /dev/sda rw\n" + mounts)

    def ran(self, busy: int, idle: int) -> None:
        """Hundredths of a second since the machine started, of each of its processors."""
        line = f"{busy} 0 0 {idle} 0 0 0 0 7 7"
        self.write("proc/stat", f"cpu  1 2 3 4\ncpu0 {line}\ncpu1 {line}\nintr 12 0 0\n")

    def machine(self) -> Machine:
        """It, with a clock of its own."""
        return Machine(self.root, clock=lambda: self.now)


@pytest.fixture
def copy(tmp_path):
    """A machine without groups."""
    return Copy(tmp_path)


def test_without_groups_it_is_the_machine(copy):
    """If it failed, a plain machine would be measured wrongly."""
    memory = copy.machine().memory()
    assert (memory.total, memory.available, memory.used) == (16 << 30, 8 << 30, 8 << 30)
    assert copy.machine().cpus() == 2


def test_the_container_s_memory_counts(copy):
    """If it failed, a container would be thought to have the memory of its host, and its agents be killed."""
    copy.here("0::/\n", V2.format(root="/"))
    copy.group(".", memory__max=2 * GB, memory__current=GB, memory__stat="anon 5\ninactive_file 400000000")
    memory = copy.machine().memory()
    assert (memory.total, memory.used) == (2 * GB, 600_000_000)


def test_a_host_that_is_fuller_than_the_container_counts(copy):
    """If it failed, a container with room on a host without any would begin more agents."""
    copy.here("0::/\n", V2.format(root="/"))
    copy.group(".", memory__max=10 * GB, memory__current=GB)
    assert copy.machine().memory().available == 8 << 30


def test_the_tightest_of_nested_groups_counts(copy):
    """If it failed, the limit of a slice above the worker's own group would be overlooked."""
    copy.here("0::/a.slice/b.scope\n", V2.format(root="/"))
    copy.group("a.slice/b.scope", memory__max="max", memory__current=GB, cpu__max="max 100000")
    copy.group("a.slice", memory__max=4 * GB, memory__high=3 * GB, memory__current=2 * GB)
    copy.group("a.slice", cpu__max="150000 100000", cpu__stat="usage_usec 0\nuser_usec 0")
    machine = copy.machine()
    assert (machine.memory().total, machine.memory().available) == (3 * GB, GB)
    assert machine.cpus() == 1.5


@pytest.mark.parametrize(
    ("group", "mounted"),
    [("/docker/abc", "/docker/abc"), ("/../../other", "/"), ("/x/y", "/docker/abc"), ("/", "/../..")],
)
def test_a_namespace_hides_where_a_group_is(copy, group, mounted):
    """If it failed, a container whose runtime names its group otherwise would have no limits."""
    copy.here(f"0::{group}\n", V2.format(root=mounted))
    copy.group(".", memory__max=GB, memory__current=0)
    assert copy.machine().memory().total == GB


def test_version_1_is_read(copy):
    """If it failed, containers on older hosts would have no limits."""
    mounts = "".join(
        V1.format(id=40 + at, root="/", name=name) for at, name in enumerate(("memory", "cpu,cpuacct"))
    )
    copy.here("5:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n1:name=systemd:/x\n", mounts)
    stat = "inactive_file 1\ntotal_inactive_file 300000000"
    copy.group("memory/docker/a", memory__limit_in_bytes=GB, memory__usage_in_bytes=GB, memory__stat=stat)
    copy.group("memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=5)
    copy.group("cpu,cpuacct/docker/a", cpu__cfs_quota_us=50_000, cpu__cfs_period_us=100_000)
    copy.group("cpu,cpuacct/docker/a", cpuacct__usage=0)
    copy.group("cpu,cpuacct", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100_000, cpuacct__usage=0)
    machine = copy.machine()
    assert (machine.memory().total, machine.memory().available) == (GB, 300_000_000)
    assert machine.cpus() == 0.5


def test_controllers_that_are_mounted_apart_are_put_together(copy):
    """If it failed, a quota would be held against the processor time of nobody, or of another group."""
    names = ("cpu", "cpuacct")
    mounts = "".join(V1.format(id=40 + at, root="/", name=name) for at, name in enumerate(names))
    copy.here("3:cpuacct:/a\n2:cpu:/a\n0::/\n", mounts + V2.format(root="/").replace("group ", "group/u ", 1))
    copy.group("cpu/a", cpu__cfs_quota_us=100_000, cpu__cfs_period_us=100_000)
    copy.group("cpuacct/a", cpuacct__usage=7_000_000_000)
    assert [(one.cpus, one.used) for one in Cgroups(copy.root).cpu()] == [(1.0, 7.0)]


def test_a_mount_with_a_blank_in_its_name_is_found(copy):
    """If it failed, a strange place of the groups would hide them."""
    copy.here("0::/\n", V2.format(root="/").replace("/sys/fs/cgroup", "/odd\\040place"))
    copy.write("odd place/memory.max", f"{GB}\n")
    copy.write("odd place/memory.current", "0\n")
    assert copy.machine().memory().total == GB


@pytest.mark.parametrize("nonsense", ["", "max", "-1", "12 34", "\x00", "1e9"])
def test_what_can_not_be_read_limits_nothing(copy, nonsense):
    """If it failed, an unknown kernel would stop a worker from starting."""
    copy.here("0::/\n", V2.format(root="/"))
    copy.group(".", memory__max=nonsense, memory__current=0, cpu__max=nonsense, cpu__stat=nonsense)
    copy.write("proc/self/cgroup", f"0::/\n{nonsense}\n")
    machine = copy.machine()
    assert (machine.memory().total, machine.cpus()) == (16 << 30, 2)


def test_processors_are_counted_since_the_last_call(copy):
    """If it failed, a host's load would be that since its start, which says nothing of now."""
    machine = copy.machine()
    assert machine.cpu_percent() == 0.0
    copy.now += 1
    copy.ran(busy=75, idle=25)
    percent = machine.cpu_percent()
    assert percent == pytest.approx(75)
    copy.ran(busy=75, idle=125)
    assert machine.cpu_percent() == percent, "too soon to say something new"
    copy.now += 1
    assert machine.cpu_percent() == 0.0


def test_a_quota_that_is_used_up_makes_a_container_busy(copy):
    """If it failed, a container would count as idle as its host, and begin agents that hardly run."""
    copy.here("0::/\n", V2.format(root="/"))
    copy.group(".", cpu__max="50000 100000", cpu__stat="usage_usec 1000000")
    machine = copy.machine()
    copy.now += 2
    copy.ran(busy=20, idle=180)
    copy.group(".", cpu__stat="usage_usec 1900000")
    assert machine.cpu_percent() == pytest.approx(90)


def test_this_machine_is_as_others_see_it():
    """If it failed, the figures of real files would be read wrongly."""
    machine, seen = Machine(), psutil.virtual_memory()
    memory = machine.memory()
    assert 0 < memory.total <= seen.total
    assert 0 <= memory.available <= memory.total
    assert 0 < machine.cpus() <= (psutil.cpu_count() or 1)
