"""Why a stronger sandbox does not work on this machine, in sentences that say what would help."""

import errno
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from shiftwork.sandbox.landlock import Abi, detect
from shiftwork.sandbox.levels import Level
from shiftwork.sandbox.namespace import find_bubblewrap, find_unshare
from shiftwork.sandbox.seccomp import seccomp_filter

_SYS_ADMIN = 21


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that keeps levels from working.

    Attributes:
        levels: which.
        reason: one sentence or two: what it is, and what to do about it.
    """

    levels: tuple[Level, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the system says of itself, read below a root folder.

    Attributes:
        root: `/`, or a folder that holds what a machine would say.
    """

    root: Path = Path("/")

    def number(self, name: str) -> int | None:
        """A number below `/proc/sys`; None if there is none."""
        try:
            return int(self._read(f"proc/sys/{name}"))
        except ValueError:
            return None

    @property
    def apparmor(self) -> str:
        """The AppArmor profile that we run under; empty where there is no AppArmor."""
        if self._read("sys/module/apparmor/parameters/enabled") != "Y":
            return ""
        return (
            self._read("proc/self/attr/apparmor/current") or self._read("proc/self/attr/current")
        ) or "unconfined"

    @property
    def may_administer(self) -> bool:
        """Whether we have CAP_SYS_ADMIN, which root has outside of containers."""
        return bool(int(self._status("CapEff") or "0", 16) >> _SYS_ADMIN & 1)

    @property
    def filtered(self) -> bool:
        """Whether a seccomp filter holds us, as container engines have one."""
        return self._status("Seccomp") == "2"

    def _status(self, name: str) -> str:
        lines = self._read("proc/self/status").splitlines()
        return next((line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:")), "")

    def _read(self, path: str) -> str:
        try:
            return (self.root / path).read_text(errors="replace").strip("\0\n ")
        except OSError:
            return ""


def obstacles(kernel: Kernel | None = None, abi: Abi | None = None) -> tuple[Obstacle, ...]:
    """What stands in the way of each level, as far as it can be told without trying."""
    if sys.platform != "linux":
        return ()
    kernel = kernel or Kernel()
    return (*_of_programs(), *_of_namespaces(kernel, root=os.geteuid() == 0), *_of_landlock(abi or detect()))


def _of_programs() -> list[Obstacle]:
    found = []
    if not find_bubblewrap():
        found.append(
            Obstacle(
                (Level.BWRAP,),
                "There is no bwrap: install the system's package bubblewrap.",
            )
        )
    if not find_unshare():
        found.append(
            Obstacle(
                (Level.UNSHARE,), "unshare, setpriv or setsid is missing: install the package util-linux."
            )
        )
    return found


def _of_namespaces(kernel: Kernel, *, root: bool) -> list[Obstacle]:
    reasons = []
    if kernel.number("kernel/unprivileged_userns_clone") == 0:
        reasons.append(
            "The sysctl kernel.unprivileged_userns_clone is 0: an administrator can permit user namespaces "
            "with `sysctl kernel.unprivileged_userns_clone=1`."
        )
    if kernel.number("user/max_user_namespaces") == 0:
        reasons.append(
            "The sysctl user.max_user_namespaces is 0: an administrator can permit user namespaces with "
            "`sysctl user.max_user_namespaces=10000`."
        )
    if kernel.number("kernel/apparmor_restrict_unprivileged_userns") == 1:
        reasons.append(
            "AppArmor restricts user namespaces to programs with a profile (Ubuntu 23.10 and newer): "
            "install the system's bubblewrap and its AppArmor profile bwrap-userns-restrict, or have an "
            "administrator run `sysctl kernel.apparmor_restrict_unprivileged_userns=0`."
        )
    if root and kernel.may_administer:
        reasons = []  # Root needs no user namespace, but a right that containers take away.
    elif root:
        reasons.append(
            "We are root without CAP_SYS_ADMIN, as in a container: start it with `--cap-add SYS_ADMIN`, "
            "or with an engine that permits nested user namespaces."
        )
    if kernel.filtered:
        reasons.append(
            "A seccomp filter holds us, as container engines have one that forbids namespaces: start the "
            "container with `--security-opt seccomp=` and a profile that permits unshare and mount."
        )
    return [Obstacle((Level.BWRAP, Level.UNSHARE), reason) for reason in reasons]


def _of_landlock(abi: Abi) -> list[Obstacle]:
    if seccomp_filter() is None:
        reason = f"There is no seccomp filter for {platform.machine()}: run Shiftwork on x86_64 or aarch64."
    elif abi.version > 0:
        return []
    elif abi.error == errno.EOPNOTSUPP:
        reason = (
            "Landlock is switched off: an administrator can add `landlock` to the kernel's parameter lsm=."
        )
    elif abi.error == errno.ENOSYS:
        reason = "This kernel has no Landlock: Linux 5.13 and newer have it, if it was built in."
    else:
        reason = f"Landlock is refused ({os.strerror(abi.error)}), probably by a container's seccomp profile."
    return [Obstacle((Level.LANDLOCK,), reason)]
