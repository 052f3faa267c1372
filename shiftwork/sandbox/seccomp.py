"""Which calls into the kernel a confined program may make: a small filter, made here, for two architectures.

What is refused opens ways around a sandbox (mounts, namespaces, other processes' memory), or is known for
its errors and needed by nothing that builds software (`bpf`, `io_uring`, keyrings, raw sockets).
"""

import errno
import platform
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from shiftwork.sandbox.callnumbers import AARCH64, NEWEST, X86_64

_ARCHITECTURES: Final = {
    "x86_64": (0xC000003E, X86_64),
    "aarch64": (0xC00000B7, AARCH64),
    "arm64": (0xC00000B7, AARCH64),
}
"""By the machine's name: what the kernel calls it (`AUDIT_ARCH_…`), and its numbers of calls."""

_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_ERRNO: Final = 0x00050000

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_GREATER: Final = 0x25  # BPF_JMP | BPF_JGT | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_GROUP: Final = 8
"""Calls that are looked at one by one: about as many as there are groups makes the fewest steps."""

_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

_NEW_NAMESPACES: Final = 0x7E020000
_NEW_TIME_NAMESPACE: Final = 0x80
_SET_ID_BITS: Final = 0o6000
_CREATE: Final = 0x40
_TEMPORARY: Final = 0x400000
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _DATAGRAM, _TYPE = 1, 2, 0xF
_TIOCSTI, _TIOCLINUX, _TIOCSETD = 0x5412, 0x541C, 0x5423
_PR_SET_DUMPABLE: Final = 4
_PERSONALITIES: Final = (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""The plain one, two that change what `uname` says, and the question which one it is."""


@dataclass(frozen=True, slots=True)
class When:
    """A condition on one half of an argument: whether it, masked, equals a value.

    It is the low half unless the high one is asked for; of most arguments the kernel reads no more than that.
    """

    argument: int
    value: int
    mask: int = 0xFFFFFFFF
    equal: bool = True
    high: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Calls that fail with an error number, always or when all conditions hold; with 0 they do nothing."""

    calls: tuple[str, ...]
    error: int = errno.EPERM
    when: tuple[When, ...] = ()


_ALWAYS: Final = (
    # Mounts and roots.
    *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr", "fsopen"),
    *("fsconfig", "fsmount", "fspick", "mount_setattr", "setns", "open_by_handle_at", "quotactl"),
    *("quotactl_fd", "swapon", "swapoff"),
    # Other processes.
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp"),
    *("move_pages", "migrate_pages"),
    # The kernel itself.
    *("bpf", "perf_event_open", "kexec_load", "kexec_file_load", "init_module", "finit_module"),
    *("delete_module", "reboot", "syslog", "acct", "settimeofday", "clock_settime", "adjtimex"),
    *("clock_adjtime", "iopl", "ioperm", "modify_ldt", "fanotify_init", "lookup_dcookie", "vhangup"),
    *("sethostname", "setdomainname", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl"),
    # Keyrings know no namespaces; the others have a long record of holes.
    *("add_key", "request_key", "keyctl", "userfaultfd"),
)


def _unless(argument: int, values: Sequence[int], mask: int = 0xFFFFFFFF) -> tuple[When, ...]:
    return tuple(When(argument, value, mask, equal=False) for value in values)


def _any_of(argument: int, bits: int) -> When:
    return When(argument, 0, bits, equal=False)


def _set_id_bits(argument: int) -> When:
    return _any_of(argument, _SET_ID_BITS)


REFUSALS: Final = (
    Refusal(_ALWAYS),
    # Programs try another way when these are missing; what they point to can't be looked at.
    Refusal(("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "openat2"), errno.ENOSYS),
    Refusal(("clone",), when=(_any_of(0, _NEW_NAMESPACES),)),
    Refusal(("unshare",), when=(_any_of(0, _NEW_NAMESPACES | _NEW_TIME_NAMESPACE),)),
    Refusal(("personality",), when=_unless(0, _PERSONALITIES)),
    *(Refusal(("ioctl",), when=(When(1, number),)) for number in (_TIOCSTI, _TIOCLINUX, _TIOCSETD)),
    # Sockets: unix, internet without raw ones, and the netlink that lists addresses and routes.
    Refusal(("socket",), errno.EAFNOSUPPORT, _unless(0, (_UNIX, _INET, _INET6, _NETLINK))),
    Refusal(("socket",), errno.EPROTONOSUPPORT, (When(0, _NETLINK), *_unless(2, (0,)))),
    *(
        Refusal(("socket",), when=(When(0, family), *_unless(1, (_STREAM, _DATAGRAM), _TYPE)))
        for family in (_INET, _INET6)
    ),
    Refusal(("socketpair",), errno.EAFNOSUPPORT, _unless(0, (_UNIX,))),
    # What hides a process's open files hides deleted ones from the limit on the disk, too. Programs that
    # guard secrets so are told that they did: nothing can trace them here anyway.
    Refusal(("prctl",), 0, (When(0, _PR_SET_DUMPABLE), When(1, 0))),
    # A set-id file in a workspace would lend our user's or group's rights to everybody who can reach it. A
    # filter can't tell folders from files: theirs can be inherited, but not given.
    Refusal(("chmod", "fchmod"), when=(_set_id_bits(1),)),
    Refusal(("fchmodat", "fchmodat2"), when=(_set_id_bits(2),)),
    Refusal(("creat", "mknod"), when=(_set_id_bits(1),)),
    Refusal(("mknodat",), when=(_set_id_bits(2),)),
    # There the mode counts only where a file may be made; else it is whatever was in that register.
    Refusal(("open",), when=(_any_of(1, _CREATE | _TEMPORARY), _set_id_bits(2))),
    Refusal(("openat",), when=(_any_of(2, _CREATE | _TEMPORARY), _set_id_bits(3))),
)
"""In this order; the first that applies decides."""


@cache
def seccomp_filter(machine: str | None = None, more: Sequence[Refusal] = ()) -> bytes | None:
    """The program for the kernel (an array of `struct sock_filter`); None for an unknown architecture.

    Args:
        machine: as `uname -m` says it; None: this one.
        more: what is refused besides, looked at first.
    """
    known = _ARCHITECTURES.get(platform.machine() if machine is None else machine)
    if known is None:
        return None
    architecture, numbers = known
    program = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_IF_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER_AT),
        # What is newer than this list, and the second set of numbers that x86 has (x32).
        _instruction(_IF_GREATER, NEWEST, 0, 1),
        _instruction(_RETURN, _ERRNO | errno.ENOSYS),
    ]
    by_call: dict[int, list[Refusal]] = {}
    for refusal in (*more, *REFUSALS):
        for call in refusal.calls:
            if call in numbers:
                by_call.setdefault(numbers[call], []).append(refusal)
    judged = sorted((number, _judge(refusals)) for number, refusals in by_call.items())
    for start in range(0, len(judged), _GROUP):
        program += _judge_group(judged[start : start + _GROUP])
    program.append(_instruction(_RETURN, _ALLOW))
    return b"".join(program)


def _judge_group(judged: Sequence[tuple[int, list[bytes]]]) -> list[bytes]:
    """Decides about all calls up to the last of these, which come by their numbers; passes over others.

    When it loads the filter, the kernel follows every number through it.
    """
    body = []
    for number, decision in judged:
        body += [_instruction(_IF_EQUAL, number, 0, len(decision)), *decision]
    body.append(_instruction(_RETURN, _ALLOW))
    return [_instruction(_IF_GREATER, judged[-1][0], len(body), 0), *body]


def _judge(refusals: Sequence[Refusal]) -> list[bytes]:
    """Decides about one call: one of these refuses it, or it is allowed."""
    body: list[bytes] = []
    for refusal in refusals:
        refuse = _instruction(_RETURN, _ERRNO | refusal.error)
        left = 3 * len(refusal.when) + 1
        for condition in refusal.when:
            left -= 3
            holds, fails = (0, left) if condition.equal else (left, 0)
            body += [
                _instruction(_LOAD, _ARGUMENTS_AT + 8 * condition.argument + 4 * condition.high),
                _instruction(_AND, condition.mask),
                _instruction(_IF_EQUAL, condition.value, holds, fails),
            ]
        body.append(refuse)
    if all(refusal.when for refusal in refusals):
        body.append(_instruction(_RETURN, _ALLOW))
    return body


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
