"""The first process of a sandbox: a program of some hundred bytes, made here, that does what a shell would.

See `namespace.INIT`, which says it in a shell's words, and is used where this one can't be. To load a shell
and to fork it twice takes longer than most of what bubblewrap does.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from shiftwork.sandbox.machine import Assembly, is_executed

NOT_FIRST: Final = 125
"""The exit status where it is not process 1: outside a sandbox, its guardian would kill whatever it may."""

Limit = tuple[int, int, int]
"""The number of a resource, and the soft and the hard limit on it."""

_READ, _WRITE, _CLOSE, _SIGPROCMASK, _NANOSLEEP, _GETPID, _FORK, _EXECVE = 0, 1, 3, 14, 35, 39, 57, 59
_WAIT4, _KILL, _CHDIR, _GETRLIMIT, _SETRLIMIT, _EXIT_GROUP = 61, 62, 80, 97, 160, 231

_SH: Final = b"/bin/sh\0"
_EXEC: Final = b'exec "$0" "$@"\0'
"""What tells why a program can't be executed, and executes scripts that don't name their interpreter."""

_GO_AND_EXEC: Final = b'cd "$0" || exit 126; exec "$@"\0'
_NO_FORK: Final = b"shiftwork: cannot fork\n"
_ALL: Final = (1 << 64) - 1
_PAUSE: Final = struct.pack("<qq", 0, 10_000_000)


def first_process(limits: Sequence[Limit], *, drops: bool) -> bytes | None:
    """An executable file; its arguments are `PWD=` with the folder to start in, and a program with its own.

    Both by absolute paths. None where there is none for this machine, or the system does not execute it.

    Args:
        limits: what the program gets; a soft one above the hard limit there changes nothing.
        drops: whether the first word is a program that becomes another user, and then the one behind it.
    """
    return _file(limits, drops=drops) if _is_executed() else None


def _is_executed() -> bool:
    """Whether such a file runs: it refuses to go on where it is not process 1."""
    return is_executed(_file((), drops=False), "PWD=/", "/bin/true", status=NOT_FIRST)


@lru_cache(maxsize=64)
def _file(limits: Sequence[Limit], *, drops: bool) -> bytes:
    table = b"".join(struct.pack("<QQQ", *(value & _ALL for value in limit)) for limit in limits)
    code = Assembly()
    _begin(code)
    _wait(code)
    _guard(code)
    _start(code, drops=drops)
    _fail(code)
    for place, content in (
        *(("limits", table), ("end of limits", b"")),
        *(("pause", _PAUSE), ("all signals", struct.pack("<Q", _ALL))),
        *(("sh", _SH), ("-c", b"-c\0"), ("exec", _EXEC), ("go", _GO_AND_EXEC), ("no fork", _NO_FORK)),
    ):
        code.name(place)
        code.add(content)
    return code.finish()


def _begin(code: Assembly) -> None:
    """Go to the folder, and start the guardian and the agent; all registers that last are set here.

    r12 is where the stack begins: the count of arguments, and behind it those. r13 is 0 in the folder, and
    r14 the environment. What is below r12 is free.
    """
    code.add(b"\x49\x89\xe4")  # mov r12, rsp
    code.call(_GETPID)
    code.add(b"\x83\xf8\x01")  # cmp eax, 1
    code.jump("not first", "not equal")
    code.add(
        b"\x49\x8b\x7c\x24\x10",  # mov rdi, [r12 + 16]: the first argument
        b"\x48\x83\xc7\x04",  # add rdi, 4: without `PWD=`
    )
    code.call(_CHDIR)
    code.add(
        b"\x41\x89\xc5",  # mov r13d, eax
        b"\x49\x8b\x0c\x24",  # mov rcx, [r12]
        b"\x4d\x8d\x74\xcc\x10",  # lea r14, [r12 + rcx*8 + 16]
        b"\x45\x85\xed",  # test r13d, r13d
    )
    code.jump("fork", "not equal")
    _set_folder(code)
    code.name("fork")
    code.call(_FORK)
    code.add(b"\x85\xc0")  # test eax, eax
    code.jump("cannot fork", "negative")
    code.jump("guardian", "equal")
    code.call(_FORK)
    code.add(b"\x85\xc0")  # test eax, eax
    code.jump("cannot fork", "negative")
    code.jump("agent", "equal")


def _set_folder(code: Assembly) -> None:
    """Put the first argument in the place of the variable of that name, which bubblewrap always sets."""
    code.add(b"\x4c\x89\xf7")  # mov rdi, r14
    code.name("variable")
    code.add(b"\x48\x8b\x07", b"\x48\x85\xc0")  # mov rax, [rdi]; test rax, rax
    code.jump("fork", "equal")
    code.add(b"\x81\x38PWD=")  # cmp dword [rax], "PWD="
    code.jump("folder", "equal")
    code.add(b"\x48\x83\xc7\x08")  # add rdi, 8
    code.jump("variable")
    code.name("folder")
    code.add(b"\x49\x8b\x44\x24\x10", b"\x48\x89\x07")  # mov rax, [r12 + 16]; mov [rdi], rax


def _wait(code: Assembly) -> None:
    """Wait for whatever ends, as process 1 has to, until the agent does; end with its status."""
    code.add(b"\x89\xc3")  # mov ebx, eax
    code.name("wait")
    code.add(
        b"\xbf\xff\xff\xff\xff",  # mov edi, -1
        b"\x49\x8d\x74\x24\xf8",  # lea rsi, [r12 - 8]
        b"\x31\xd2\x45\x31\xd2",  # xor edx, edx; xor r10d, r10d
    )
    code.call(_WAIT4)
    code.add(b"\x39\xd8")  # cmp eax, ebx
    code.jump("wait", "not equal")
    code.add(
        b"\x41\x8b\x7c\x24\xf8",  # mov edi, [r12 - 8]
        b"\x89\xf8\x83\xe0\x7f",  # mov eax, edi; and eax, 0x7f: the signal
    )
    code.jump("killed", "not equal")
    code.add(b"\xc1\xef\x08\x40\x0f\xb6\xff")  # shr edi, 8; movzx edi, dil
    code.jump("exit")
    code.name("killed")
    code.add(b"\x8d\xb8\x80\0\0\0")  # lea edi, [rax + 128]
    code.name("exit")
    code.call(_EXIT_GROUP)


def _guard(code: Assembly) -> None:
    """Read the lease: lines with the number of a signal for all processes. Two failures in a row end it.

    No signal but KILL and STOP reaches it.
    """
    code.name("guardian")
    for fd in (0, 1, 2, 6):
        _close(code, fd)
    code.add(b"\xbf\x02\0\0\0")  # mov edi, SIG_SETMASK
    code.address(b"\xbe", "all signals")  # mov esi
    code.add(b"\x31\xd2\x41\xba\x08\0\0\0")  # xor edx, edx; mov r10d, 8
    code.call(_SIGPROCMASK)
    code.add(b"\x31\xed")  # xor ebp, ebp: failures in a row
    code.name("line")
    code.add(b"\x31\xdb")  # xor ebx, ebx: the number
    code.name("read")
    code.add(
        b"\xbf\x03\0\0\0\x49\x8d\x74\x24\xf8",  # mov edi, 3; lea rsi, [r12 - 8]
        b"\xba\x01\0\0\0",  # mov edx, 1
    )
    code.call(_READ)
    code.add(b"\x83\xf8\x01")  # cmp eax, 1
    code.jump("failed", "not equal")
    code.add(
        b"\x31\xed",  # xor ebp, ebp
        b"\x41\x0f\xb6\x44\x24\xf8",  # movzx eax, byte [r12 - 8]
        b"\x83\xe8\x30\x83\xf8\x09",  # sub eax, "0"; cmp eax, 9
    )
    code.jump("send", "above")
    code.add(b"\x8d\x1c\x9b\x8d\x1c\x58")  # lea ebx, [rbx + rbx*4]; lea ebx, [rax + rbx*2]
    code.jump("read")
    _signal(code)


def _signal(code: Assembly) -> None:
    """A signal is sent until it reaches somebody: at the start the agent may not be there.

    So the killing has no end but this process's own, when process 1 ends.
    """
    code.name("send")
    code.add(b"\xbf\xff\xff\xff\xff\x89\xde")  # mov edi, -1; mov esi, ebx
    code.call(_KILL)
    code.add(b"\x83\xf8\xfd")  # cmp eax, -ESRCH
    code.jump("line", "not equal")
    _pause(code)
    code.jump("send")
    code.name("failed")
    code.add(b"\xff\xc5\x83\xfd\x02")  # inc ebp; cmp ebp, 2
    code.jump("read", "below")
    code.name("kill")
    code.add(b"\xbf\xff\xff\xff\xff\xbe\x09\0\0\0")  # mov edi, -1; mov esi, SIGKILL
    code.call(_KILL)
    _pause(code)
    code.jump("kill")


def _start(code: Assembly, *, drops: bool) -> None:
    """Limit this process, and become the agent; a shell says why that can't be."""
    code.name("agent")
    _close(code, 3)
    _close(code, 4)
    code.address(b"\x41\xbf", "limits")  # mov r15d
    code.name("limit")
    code.address(b"\x49\x81\xff", "end of limits")  # cmp r15
    code.jump("limited", "equal")
    code.add(b"\x41\x8b\x3f\x49\x8d\x74\x24\xf0")  # mov edi, [r15]; lea rsi, [r12 - 16]
    code.call(_GETRLIMIT)
    code.add(
        b"\x49\x8b\x47\x08\x49\x8b\x4c\x24\xf8",  # mov rax, [r15 + 8]; mov rcx, [r12 - 8]: its soft, our hard
        b"\x48\x39\xc8",  # cmp rax, rcx
    )
    code.jump("next limit", "above")
    code.add(
        b"\x49\x89\x44\x24\xf0",  # mov [r12 - 16], rax
        b"\x49\x8b\x47\x10\x48\x39\xc8",  # mov rax, [r15 + 16]; cmp rax, rcx
    )
    code.jump("set limit", "not below")
    code.add(b"\x49\x89\x44\x24\xf8")  # mov [r12 - 8], rax
    code.name("set limit")
    code.call(_SETRLIMIT)
    code.name("next limit")
    code.add(b"\x49\x83\xc7\x18")  # add r15, 24
    code.jump("limit")
    code.name("limited")
    code.add(b"\x49\x8d\x74\x24\x18\x45\x85\xed")  # lea rsi, [r12 + 24]; test r13d, r13d
    code.jump("execute", "equal")
    _go_later(code, drops=drops)
    code.name("execute")
    code.add(b"\x48\x8b\x3e\x4c\x89\xf2")  # mov rdi, [rsi]; mov rdx, r14
    code.call(_EXECVE)
    _store(code, 0, "sh")
    _store(code, 8, "-c")
    _store(code, 16, "exec")
    code.address(b"\xbf", "sh")  # mov edi
    code.add(b"\x4c\x89\xe6\x4c\x89\xf2")  # mov rsi, r12; mov rdx, r14
    code.call(_EXECVE)
    code.add(b"\xbf\x7e\0\0\0")  # mov edi, 126
    code.jump("exit")


def _go_later(code: Assembly, *, drops: bool) -> None:
    """Words before the program that go to its folder, as the user that it becomes.

    Root with hardly a capability may not be allowed into the agent's folder.
    """
    code.add(b"\x49\x8b\x4c\x24\x10\x48\x83\xc1\x04")  # mov rcx, [r12 + 16]; add rcx, 4
    if drops:
        code.add(b"\x49\x8b\x44\x24\x18\x49\x89\x44\x24\xf8")  # mov rax, [r12 + 24]; mov [r12 - 8], rax
    code.add(b"\x49\x89\x4c\x24", b"\x18" if drops else b"\x10")  # mov [r12 + 24 or 16], rcx
    for index, text in enumerate(("sh", "-c", "go"), 0 if drops else -1):
        _store(code, 8 * index, text)
    code.add(b"\x49\x8d\x74\x24\xf8")  # lea rsi, [r12 - 8]


def _fail(code: Assembly) -> None:
    code.name("cannot fork")
    code.add(b"\xbf\x02\0\0\0")  # mov edi, 2
    code.address(b"\xbe", "no fork")  # mov esi
    code.add(b"\xba", struct.pack("<I", len(_NO_FORK)))  # mov edx
    code.call(_WRITE)
    code.add(b"\xbf\x02\0\0\0")  # mov edi, 2: as a shell would end
    code.jump("exit")
    code.name("not first")
    code.add(b"\xbf", struct.pack("<I", NOT_FIRST))  # mov edi
    code.jump("exit")


def _store(code: Assembly, offset: int, place: str) -> None:
    code.address(b"\x49\xc7\x44\x24%b" % struct.pack("b", offset), place)  # mov qword [r12 + offset]


def _close(code: Assembly, fd: int) -> None:
    code.add(b"\xbf", struct.pack("<I", fd))  # mov edi
    code.call(_CLOSE)


def _pause(code: Assembly) -> None:
    code.address(b"\xbf", "pause")  # mov edi
    code.add(b"\x31\xf6")  # xor esi, esi
    code.call(_NANOSLEEP)
