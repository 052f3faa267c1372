"""Confines itself and becomes another program: `python -I -S landlock_launcher.py POLICY PROGRAM …`.

A program of its own that imports nothing of ours: it runs as an isolated interpreter, in an environment in
which every variable of the program has a `_` before its name, so that none of them changes what runs here.
Nothing goes on if one step fails: a program that is not confined is not started.

It imports as little as it can: with `json`, `signal` and `typing` a start would take half as long again.
"""

import ctypes
import errno
import marshal
import os
import struct
import sys

TYPE_CHECKING = False  # what type checkers know by this name, without an import
if TYPE_CHECKING:
    from typing import Any

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""The same numbers on every architecture."""

_PATH_BENEATH, _NET_PORT = 1, 2
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_CAPABILITIES_VERSION = 0x20080522
_IGNORED = (13, 25)
"""SIGPIPE and SIGXFSZ, by the numbers that they have on the machines there is a filter for."""

_OF_FILES = 0x1 | 0x2 | 0x4 | 0x4000 | 0x8000
"""The rights that a file can have: execute, write, read, truncate, ioctl on devices."""


def main(arguments: list[str]) -> int:
    """Confine this process, then run the program in it; returns only if that fails."""
    policy = marshal.loads(bytes.fromhex(arguments[0]))  # noqa: S302 - from our own parent, as our argument
    argv = arguments[1:]
    env = {name[1:]: value for name, value in os.environ.items() if name.startswith("_")}
    env.update({name: os.environ[name] for name in policy["keep"] if name in os.environ})
    try:
        _confine(policy)
        if policy["tmp"]:
            _make_folder(policy["tmp"])
    except OSError as error:
        return _fail(f"{error.filename or 'this program'} can't be confined: {error.strerror}", 126)
    try:
        _become(argv, env, policy["seccomp"])
    except FileNotFoundError as error:
        return _fail(f"{argv[0]}: {error.strerror}", 127)
    except OSError as error:
        return _fail(f"{argv[0]}: {error.strerror}", 126)
    return 126


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path, 0o700)  # noqa: PTH102 - pathlib is an import
    except FileExistsError:
        return


def _fail(sentence: str, status: int) -> int:
    os.write(2, f"shiftwork: {sentence}\n".encode(errors="surrogateescape"))
    return status


def _confine(policy: "dict[str, Any]") -> None:
    """Everything but the filter, which would keep the last steps before the program from being done."""
    libc = ctypes.CDLL(None, use_errno=True)
    # Paths are opened with the rights that we begin with.
    ruleset = _ruleset(libc, policy)
    if policy["tasks"] is not None:
        import resource  # noqa: PLC0415 - rarely needed

        tasks = policy["tasks"] + (0 if policy["user"] is not None else _tasks_of(os.getuid()))
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        tasks = tasks if hard == resource.RLIM_INFINITY else min(tasks, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (tasks, tasks))
    if policy["user"] is not None:
        _become_user(policy["user"], policy["needed"])
    _check(libc.capset(struct.pack("Ii", _CAPABILITIES_VERSION, 0), bytes(24)), "capset")
    _check(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _check(libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    os.closerange(3, 1 << 16)


def _tasks_of(user: int) -> int:
    """How many processes and threads a user has, which the kernel counts together, whoever started them."""
    found = 0
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib is an import
        if name.isdigit():
            try:
                about = os.stat(f"/proc/{name}/task")  # noqa: PTH116 - pathlib is an import
            except OSError:
                continue  # gone
            if about.st_uid == user:
                found += about.st_nlink - 2
    return found


def _become_user(user: int, needed: list[str]) -> None:
    """Be another user, who has to reach what is needed: else every program would fail in a way of its own."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    for path in needed:
        try:
            os.stat(path)  # noqa: PTH116 - pathlib is an import
        except PermissionError as error:
            raise OSError(errno.EACCES, f"user {user} can't reach it", path) from error


def _ruleset(libc: ctypes.CDLL, policy: "dict[str, Any]") -> int:
    handled = policy["handled"]
    attributes = struct.pack("=QQQ", handled["files"], handled["network"], handled["scoped"])
    # An older kernel wants no more of the structure than it knows.
    attributes = attributes[: policy["size"]]
    ruleset = _check(libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0), "landlock_create_ruleset")
    for rule in policy["paths"]:
        _allow_path(libc, ruleset, **rule)
    for port in policy["ports"]:
        rule = struct.pack("=QQ", handled["connect"], port)
        _check(libc.syscall(_ADD_RULE, ruleset, _NET_PORT, rule, 0), "landlock_add_rule")
    return ruleset


def _allow_path(libc: ctypes.CDLL, ruleset: int, *, path: str, rights: int, given: bool) -> None:
    """Allow what is beneath a path. One that the caller gave must be there, and be no link."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC | (os.O_NOFOLLOW if given else 0))  # type: ignore[attr-defined,unused-ignore]  # Linux
    except FileNotFoundError:
        if given:
            raise
        return
    except PermissionError:
        if given:
            raise
        return  # What we can't reach, the program can't either.
    try:
        kind = os.fstat(fd).st_mode & 0o170000
        if kind == 0o120000:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        rule = struct.pack("=Qi", rights if kind == 0o040000 else rights & _OF_FILES, fd)
        _check(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0), path)
    finally:
        os.close(fd)


def _become(argv: list[str], env: dict[str, str], code: bytes) -> None:
    """Be filtered, and be the program; a script without an interpreter line is run by the shell."""
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    for number in _IGNORED:  # Python ignores them, and that would be inherited.
        libc.signal(number, None)
    _check(libc.prctl(_SET_SECCOMP, _FILTER, program, 0, 0), "seccomp")
    try:
        os.execve(argv[0], argv, env)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        os.execve("/bin/sh", ["/bin/sh", *argv], env)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
