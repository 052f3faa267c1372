"""The kernel calls that a sandbox without namespaces refuses besides the usual ones.

Landlock sees no unix sockets that have a path and no UDP, and of TCP only `connect` and `bind`. So all else
that begins or awaits a connection is refused: fast open, multipath TCP and other protocols of streams, upper
layers that turn a TCP socket into another, and listening.
"""

import errno
from typing import Final

from shiftwork.sandbox.confinement import Network
from shiftwork.sandbox.seccomp import Refusal, When

_INET, _INET6, _NETLINK = 2, 10, 16
_STREAM, _SEQUENCED, _TYPE = 1, 5, 0xF
_TCP: Final = 6
_TCP_ULP: Final = 31
_MSG_FASTOPEN: Final = 0x20000000

_SHARED: Final = (
    *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl"),
    *("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink"),
)
"""Memory, semaphores and queues of the whole machine, which outlive whoever made them."""

_XATTRS: Final = (
    *("setxattr", "lsetxattr", "fsetxattr", "setxattrat", "file_setattr"),
    *("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
)
"""What would change attributes of files of the same user anywhere."""

_SCHEDULING: Final = ("sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
_RLIMIT_RTTIME: Final = 15
_PRIORITY_OF_USER, _IO_PRIORITY_OF_USER = 2, 3

_HERE: Final = (
    # Limits of other processes of the same user; and the tag by which what a lost worker left is found.
    Refusal(("prlimit64",), when=(When(0, 0, equal=False),)),
    Refusal(("setrlimit",), when=(When(0, _RLIMIT_RTTIME),)),
    *(
        Refusal(("prlimit64",), when=(When(1, _RLIMIT_RTTIME), When(2, 0, equal=False, high=high)))
        for high in (False, True)
    ),
    # How other processes of the same user are scheduled.
    Refusal(_SCHEDULING, when=(When(0, 0, equal=False),)),
    Refusal(("setpriority", "ioprio_set"), when=(When(1, 0, equal=False),)),
    Refusal(("setpriority",), when=(When(0, _PRIORITY_OF_USER),)),
    Refusal(("ioprio_set",), when=(When(0, _IO_PRIORITY_OF_USER),)),
    Refusal(_XATTRS, errno.EOPNOTSUPP),
    # Paths to files that are found by number.
    Refusal(("name_to_handle_at",)),
    # As in kernels made without them.
    Refusal(_SHARED, errno.ENOSYS),
    # Datagrams of a pair can be sent to any path, descriptors included; the others stay with their peer.
    Refusal(
        ("socketpair",),
        errno.EACCES,
        tuple(When(1, kind, _TYPE, equal=False) for kind in (_STREAM, _SEQUENCED)),
    ),
)


def refusals_for(network: Network) -> tuple[Refusal, ...]:
    """What is refused to a program that may reach this."""
    families = (_NETLINK,) if network is Network.NONE else (_INET, _INET6, _NETLINK)
    others = tuple(When(0, family, equal=False) for family in families)
    found = (*_HERE, Refusal(("socket",), errno.EACCES, others))
    return found if network is Network.HOST else (*found, *_one_way())


def _one_way() -> tuple[Refusal, ...]:
    """Nothing but TCP connections that Landlock sees."""
    return (
        Refusal(("listen",), errno.EACCES),
        Refusal(("setsockopt",), when=(When(1, _TCP), When(2, _TCP_ULP))),
        Refusal(("sendmsg",), when=(When(2, 0, _MSG_FASTOPEN, equal=False),)),
        Refusal(("sendto", "sendmmsg"), when=(When(3, 0, _MSG_FASTOPEN, equal=False),)),
        *(refusal for family in (_INET, _INET6) for refusal in _only_tcp(family)),
    )


def _only_tcp(family: int) -> tuple[Refusal, ...]:
    of = When(0, family)
    plain = tuple(When(2, protocol, equal=False) for protocol in (0, _TCP))
    return (
        Refusal(("socket",), errno.EACCES, (of, When(1, _STREAM, _TYPE, equal=False))),
        Refusal(("socket",), errno.EACCES, (of, *plain)),
    )
