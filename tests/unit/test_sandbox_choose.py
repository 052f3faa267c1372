"""Which sandbox is chosen, what keeps a stronger one from working, and the least that is accepted."""

import errno
import sys
from pathlib import Path

import pytest
from restricted_support import UNUSABLE, run_restricted

from shiftwork.errors import InvalidInput
from shiftwork.sandbox.choose import candidates, choose_sandbox
from shiftwork.sandbox.confinement import Confinement
from shiftwork.sandbox.landlock import Abi, Landlock, detect
from shiftwork.sandbox.levels import Level, default_minimum, level_named, parse_minimum
from shiftwork.sandbox.obstacles import Kernel, _of_landlock, _of_namespaces
from shiftwork.sandbox.probe import holds
from shiftwork.sandbox.subreaper import Subreaper
from shiftwork.sandbox.user import can_change_user
from shiftwork.settings import Settings

CONFINING = [one for one in candidates() if "files" in level_named(one.level).confines]


def test_the_ladder_has_an_order():
    """If it failed, a weaker sandbox could be taken for a stronger one."""
    assert Level.BWRAP > Level.LANDLOCK > Level.SANDBOX_EXEC > Level.UNSHARE > Level.NONE
    assert [level for level in Level if "files" in level.confines] == [
        Level.SANDBOX_EXEC,
        Level.LANDLOCK,
        Level.BWRAP,
    ]


def test_every_level_says_what_it_leaves_open():
    """If it failed, people would rely on what their sandbox does not do."""
    assert Level.BWRAP.confines == ("files", "network", "processes", "syscalls")
    assert (Level.NONE.confines, Level.UNSHARE.confines) == ((), ("processes",))
    for level in Level:
        assert all(sentence.endswith(".") for sentence in level.leaves.values())


def test_what_is_recorded_is_a_level():
    """If it failed, a recorded run could not be compared with the minimum."""
    assert [level_named(one.level) for one in candidates()] == sorted(
        (level_named(one.level) for one in candidates()), reverse=True
    )
    assert {level_named(name) for name in ("subreaper", "process-group", "none")} == {Level.NONE}
    with pytest.raises(InvalidInput, match="'jail' is no level"):
        level_named("jail")


@pytest.mark.parametrize("level", Level, ids=lambda level: level.label)
def test_a_minimum_is_read(level):
    """If it failed, people could not say what they accept."""
    assert parse_minimum(f" {level.label.upper()} ") is level
    settings = Settings.from_environment({"SHIFTWORK_SANDBOX_MINIMUM": level.label})
    assert settings.sandbox_minimum is level


def test_a_wrong_minimum_is_one_sentence():
    """If it failed, a typing error would lower the minimum."""
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment({"SHIFTWORK_SANDBOX_MINIMUM": "bubblewrap"})
    assert str(caught.value) == (
        "SHIFTWORK_SANDBOX_MINIMUM is 'bubblewrap'; "
        "it must be one of bwrap, landlock, sandbox-exec, unshare, none."
    )


def test_without_a_minimum_files_are_confined():
    """If it failed, a fresh machine could run agents that read everything."""
    assert (default_minimum("linux"), default_minimum("darwin")) == (Level.LANDLOCK, Level.SANDBOX_EXEC)
    assert parse_minimum("") == default_minimum()
    assert Settings.from_environment({}).sandbox_minimum is None


@pytest.mark.parametrize("sandbox", CONFINING, ids=lambda sandbox: sandbox.level)
def test_what_works_confines(sandbox):
    """If it failed, a sandbox that does nothing could be chosen, or one that works would not be."""
    if not sandbox.works():
        pytest.skip(f"{sandbox.level} does not work on this machine")
    assert holds(sandbox)
    if can_change_user(namespaces=sandbox.own_network):
        assert holds(sandbox, 65_534)


def test_what_does_not_confine_is_found_out():
    """If it failed, the probe would call anything a sandbox."""
    assert not holds(Subreaper())
    assert not Landlock(Subreaper(), Abi(0, errno.ENOSYS)).works()


async def test_it_is_chosen_within_an_event_loop():
    """If it failed, a worker could not choose at its start."""
    chosen = choose_sandbox(Level.NONE)
    assert chosen is choose_sandbox(Level.NONE, Confinement(()))
    assert chosen is next(one for one in candidates() if one.works() and (one not in CONFINING or holds(one)))


RESTRICTED = """\
from shiftwork.errors import SandboxTooWeak
from shiftwork.sandbox.choose import Level, choose_sandbox
print(choose_sandbox(Level.NONE).level)
try:
    choose_sandbox(Level.BWRAP)
except SandboxTooWeak as error:
    print(error)
    print(len(error.reasons))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has namespaces")
def test_below_the_minimum_the_reason_is_told():
    """If it failed, a container without rights would run agents in a weaker sandbox, or say nothing."""
    done = run_restricted("-P", "-c", RESTRICTED)
    if done.returncode == UNUSABLE:
        pytest.skip("this machine can't be restricted")
    assert (done.returncode, done.stderr) == (0, "")
    level, sentence, reasons = done.stdout.splitlines()
    assert level == ("landlock" if detect().version else "subreaper")
    said = f"No sandbox of this machine reaches the minimum 'bwrap'; the strongest that works is '{level}', "
    assert sentence.startswith(said)
    assert "user.max_user_namespaces is 0" in sentence
    assert "root without CAP_SYS_ADMIN" in sentence
    assert int(reasons) == 2


FACTS = {
    "kernel/unprivileged_userns_clone": ("0", "kernel.unprivileged_userns_clone=1"),
    "user/max_user_namespaces": ("0", "user.max_user_namespaces=10000"),
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "bwrap-userns-restrict"),
}


@pytest.mark.parametrize("name", FACTS)
def test_each_restriction_of_a_system_is_told(tmp_path, name):
    """If it failed, people would not learn which setting keeps the strongest sandbox from working."""
    value, remedy = FACTS[name]
    path = tmp_path / "proc/sys" / name
    path.parent.mkdir(parents=True)
    path.write_text(f"{value}\n")
    (found,) = _of_namespaces(Kernel(tmp_path), root=False)
    assert remedy in found.reason
    assert Level.BWRAP in found.levels
    path.write_text(f"{1 - int(value)}\n")
    assert _of_namespaces(Kernel(tmp_path), root=False) == []


@pytest.mark.parametrize(
    ("capabilities", "seccomp", "told"),
    [("000001ffffffffff", "0", ()), ("00000000a80425fb", "2", ("CAP_SYS_ADMIN", "seccomp filter"))],
)
def test_a_container_is_recognised(tmp_path, capabilities, seccomp, told):
    """If it failed, people would look for a setting of the machine, not of their container."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text(f"Name:\tx\nCapEff:\t{capabilities}\nSeccomp:\t{seccomp}\n")
    found = _of_namespaces(Kernel(tmp_path), root=True)
    assert len(found) == len(told)
    assert all(word in one.reason for word, one in zip(told, found, strict=True))


def test_apparmor_is_told(tmp_path):
    """If it failed, nobody could see under which profile the worker runs."""
    assert Kernel(tmp_path).apparmor == ""
    for path, text in (
        ("sys/module/apparmor/parameters/enabled", "Y\n"),
        ("proc/self/attr/current", "shiftwork (enforce)\n"),
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    assert Kernel(tmp_path).apparmor == "shiftwork (enforce)"
    (tmp_path / "proc/self/attr/current").unlink()
    assert Kernel(Path(tmp_path)).apparmor == "unconfined"


@pytest.mark.parametrize(
    ("number", "word"),
    [(errno.ENOSYS, "5.13"), (errno.EOPNOTSUPP, "lsm="), (errno.EPERM, "container")],
)
def test_why_there_is_no_landlock(number, word):
    """If it failed, people with a kernel that could do it would not learn how."""
    (found,) = _of_landlock(Abi(0, number))
    assert word in found.reason
    assert found.levels == (Level.LANDLOCK,)
    assert _of_landlock(Abi(1)) == []
