"""Becoming another user, and then a program: by a program of a few hundred bytes, made here.

`unshare` and `setpriv` do the same, but to load one of them with its libraries takes longer than all that it
does. This one is made for one user, has nothing to load, and does nothing but four calls of the kernel.
"""

import errno
import shutil
import struct
import subprocess
from functools import cache, lru_cache
from typing import Final

from shiftwork.sandbox.machine import executable, is_executed, start_of_code

_WRITE, _EXECVE, _EXIT, _SETGROUPS, _SETRESUID, _SETRESGID = 1, 59, 60, 116, 117, 119

_TOOLS: Final = "/usr/bin:/bin:/usr/sbin:/sbin"

_SHELL: Final = (b"/bin/sh\0", b"-c\0", b'exec "$0" "$@"\0')
"""What tells why a program can't be executed, and executes scripts that don't name their interpreter."""

_FAILURE: Final = b"shiftwork: this program can't be run as another user\n"


def program_to_become(user: int) -> bytes | None:
    """An executable file, whose arguments are a program by its absolute path and that one's arguments.

    It is in no group but the one of the user's number, without capabilities (what stays inheritable is of no
    use, see `tools_to_become`). It ends with status 126 if that can't be.
    None where there is none for this machine, or the system does not execute what it does not know.
    """
    return _file(user) if _is_executed() else None


def tools_to_become(user: int) -> tuple[str, ...]:
    """The words that do the same by util-linux, to go before a program; raises `OSError` without that.

    `unshare` makes no namespace unless told to, and starts in half the time of `setpriv`. The capabilities
    that it leaves as inheritable and as a bound are of no use: they count only for files that carry some, and
    nothing here may gain by such files.
    """
    if unshare := _unshare():
        return (unshare, "--setuid", str(user), "--setgid", str(user), "--")
    setpriv = shutil.which("setpriv", path=_TOOLS)
    if setpriv is None:
        raise FileNotFoundError(
            errno.ENOENT, "The program setpriv (util-linux) is needed and missing", "setpriv"
        )
    return (setpriv, "--reuid", str(user), "--regid", str(user), "--clear-groups", "--inh-caps=-all", "--")


@cache
def _unshare() -> str | None:
    """An `unshare` that changes the user; None before util-linux 2.35."""
    unshare = shutil.which("unshare", path=_TOOLS)
    if unshare is None:
        return None
    try:
        said = subprocess.run(
            (unshare, "--help"), capture_output=True, check=False, env={}, timeout=60
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    return unshare if b"--setuid" in said and b"--setgid" in said else None


def _is_executed() -> bool:
    """Whether such a file runs; tried with root's own number."""
    return is_executed(_file(0), "/bin/sh", "-c", "exit 7", status=7)


@lru_cache(maxsize=256)
def _file(user: int) -> bytes:
    """The program for 64-bit x86: code, and texts."""
    texts = (*_SHELL, _FAILURE)
    start = start_of_code()
    length = len(_code(user, (start,) * len(texts)))
    addresses, at = [], start + length
    for text in texts:
        addresses.append(at)
        at += len(text)
    return executable(_code(user, tuple(addresses)) + b"".join(texts))


def _code(user: int, texts: tuple[int, ...]) -> bytes:
    shell, option, script, failure = texts
    become = (
        b"\x31\xed"  # xor ebp, ebp: gathers what fails
        b"\x31\xff\x31\xf6"  # xor edi, edi; xor esi, esi
        + _call(_SETGROUPS)
        + b"\x09\xc5"  # or ebp, eax
        + b"\xbf%b" % struct.pack("<I", user)  # mov edi, user
        + b"\x89\xfe\x89\xfa"  # mov esi, edi; mov edx, edi
        + _call(_SETRESGID)
        + b"\x09\xc5"
        + _call(_SETRESUID)
        + b"\x09\xc5"
        + b"\x85\xed"  # test ebp, ebp
    )
    execute = (
        b"\x48\x8b\x0c\x24"  # mov rcx, [rsp]: how many arguments
        b"\x48\x8d\x54\xcc\x10"  # lea rdx, [rsp + rcx*8 + 16]: the environment, which is behind them
        b"\x48\x8d\x74\x24\x10"  # lea rsi, [rsp + 16]: the arguments but for our own name
        b"\x48\x8b\x3e"  # mov rdi, [rsi]
        + _call(_EXECVE)
        # That failed: the shell's words take the place of our name and of what is before it.
        + b"\x48\xc7\x44\x24\x08%b" % struct.pack("<I", script)  # mov qword [rsp + 8], script
        + b"\x48\xc7\x04\x24%b" % struct.pack("<I", option)  # mov qword [rsp], option
        + b"\xbf%b" % struct.pack("<I", shell)  # mov edi, shell
        + b"\x57\x48\x89\xe6"  # push rdi; mov rsi, rsp
        + _call(_EXECVE)
    )
    fail = (
        b"\xbf\x02\0\0\0"  # mov edi, 2
        + b"\xbe%b\xba%b" % (struct.pack("<I", failure), struct.pack("<I", len(_FAILURE)))  # mov esi; mov edx
        + _call(_WRITE)
        + b"\xbf\x7e\0\0\0"  # mov edi, 126
        + _call(_EXIT)
    )
    return become + b"\x75%c" % len(execute) + execute + fail  # jnz fail


def _call(number: int) -> bytes:
    return b"\xb8%b\x0f\x05" % struct.pack("<I", number)  # mov eax, number; syscall
