"""What runs around an agent's code, in the agent's own confined process; given to the interpreter as a text.

It reads one job from standard input, to its end, and becomes the program that the job holds. Nothing that it
says of itself is believed outside: see `shiftwork.agents.python.outcome`. It imports nothing of ours.
"""

import atexit
import contextlib
import gc
import io
import itertools
import json
import linecache
import os
import sys
import traceback
import types
import weakref
from collections.abc import Callable
from typing import Any

NAME = "agent.py"
"""What the code is called, in tracebacks too."""

PEAK = "peak"
"""The file in the outbox that says, in bytes, how much memory the process had at the most."""

WAITING, BEGINNING = b"W", b"B"
"""The first two bytes of standard output of one that waits: it is ready; its job is complete and begins."""

MOST_HANDOFF_BYTES = 256 * 1024

MOST_PROGRESS_BYTES = 4_096

_OUTBOX = os.environ.get("SHIFTWORK_OUTBOX")  # asked for now: the code may change its environment
_WRITING = itertools.count()

_LIBRARY = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - quicker
_PACKAGES = (f"{_LIBRARY}site-packages{os.sep}", f"{_LIBRARY}dist-packages{os.sep}")
_FILES = (
    *(io.FileIO, io.BytesIO, io.StringIO, io.TextIOWrapper),
    *(io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.BufferedRWPair),
)
_OF_C = ("ctypes", "_sqlite3", "_dbm", "_gdbm")
_HERE = frozenset(sys.modules)

_HANDOFF = {"observations": dict, "actions": list, "state": dict, "metadata": dict}
_MOMENT, _VERBATIM = "$datetime", "$value"
"""How `HandoffContext` writes moments, and dictionaries that look like one."""


def main(mode: str) -> None:
    """Do one job; `mode` is `wait` for one of a pool's, and `events` for one that speaks `AgentEvent`s."""
    gc.freeze()  # what is here already need not be looked through: it ends in a third of the time
    if mode == "wait":
        os.write(1, WAITING)
    told = _read_all()
    if not told:
        return  # Whoever started this process wants nothing any more.
    job = json.loads(told)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # what was printed is not lost with a killed process
    sys.excepthook = _teller(events=mode == "events")
    sys.argv[:] = [NAME]
    code = job["code"]
    linecache.cache[NAME] = (len(code), None, code.splitlines(keepends=True), NAME)
    module = types.ModuleType("__main__")
    vars(module).update(__file__=NAME, __builtins__=__builtins__, **_given(job, mode))
    sys.modules["__main__"] = module
    atexit.register(_tell_peak, os.getpid())
    if mode == "wait":
        os.write(1, BEGINNING)
    end_soon, modules = _end_soon, [module]  # the code may take from this module what it has
    del module
    seen = _Seen()
    exec(compile(code, NAME, "exec", dont_inherit=True), vars(modules[0]))  # noqa: S102 - what this is for
    end_soon(modules, seen)


class _Seen:
    """The collector of garbage looks at the one object of it, unless the code froze what there is."""


class _Names:
    """Lives as long as the names of the code do."""


def _end_soon(modules: list[types.ModuleType], seen: _Seen) -> None:
    """End as the interpreter would, without its taking itself apart: that takes longer than most code.

    Returns where there is more to it than to end threads, call what is registered for the end, end what the
    code made, and write what waits to be written: the interpreter does that.

    Args:
        modules: the only reference to the code's, which is taken.
        seen: made before the code was executed.
    """
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()  # noqa: SLF001 - what the interpreter calls
        atexit._run_exitfuncs()  # noqa: SLF001 - the same
        if not _begin_end(seen):
            return
        names = weakref.ref(vars(modules[0]).setdefault("__shiftwork__", _Names()))
        modules.clear()
        sys.modules.pop("__main__", None)
        gc.collect()
        if names() is not None or not all(map(_needs_no_end, sys.modules.keys() - _HERE)):
            return  # A handler of signals, or a thread, has the names; or there is more to end than Python.
        if any(map(_waits_for_its_end, gc.get_objects())):
            return
        for one in gc.get_objects():
            if issubclass(type(one), io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom):
                with contextlib.suppress(Exception):  # closed, or there is no room: nobody would be told
                    one.flush()
        _flush(sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    except BaseException:  # noqa: BLE001 - whatever it is, the interpreter's own end meets it again, and tells
        return
    os._exit(0)


def _begin_end(seen: _Seen) -> bool:
    """Do what comes before objects end; whether they can be looked at, and nobody is told of how they end."""
    kinds, streams = {*map(type, gc.get_objects())}, (sys.stdout, sys.stderr)
    if gc.callbacks or type(seen) not in kinds or {*map(type, streams)} - {*_FILES, type(None)}:
        return False
    _flush(*streams)  # before what they write
    if gc.isenabled() and any(hasattr(kind, "__del__") for kind in kinds):
        # This puts objects behind those that hold them, and they end in that order: else a file that only a
        # cycle holds, as that of a class, would be closed before what waits is written to it.
        gc.collect()
    return True


def _flush(*streams: Any) -> None:
    for stream in streams:
        if stream is not None and not stream.closed:
            stream.flush()


def _waits_for_its_end(one: object) -> bool:
    """Whether it does more when it ends than to write what waits to be written."""
    kind = type(one)
    if issubclass(kind, io.IOBase):
        return kind not in _FILES
    return hasattr(kind, "__del__") or issubclass(kind, types.GeneratorType | types.AsyncGeneratorType)


def _needs_no_end(name: str) -> bool:
    """Whether a module is one of the standard library's, of which few let C have buffers and exits."""
    file = getattr(sys.modules[name], "__file__", None) or _LIBRARY
    return file.startswith(_LIBRARY) and not file.startswith(_PACKAGES) and name not in _OF_C


def _tell_peak(pid: int) -> None:
    """Once the process has ended, nobody outside can see it any more, and few look before at a short one."""
    if _OUTBOX is None or os.getpid() != pid:  # of a fork, too, this is the end
        return
    try:
        with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - quicker
            peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith(b"VmHWM:"))
        with open(f"{_OUTBOX}/{PEAK}", "wb") as file:  # noqa: PTH123 - quicker
            file.write(b"%d" % peak)
    except (OSError, StopIteration):
        return  # Not Linux, or there is no room left: the figure is missing then.


def save_handoff(
    observations: Any = None, actions: Any = None, state: Any = None, metadata: Any = None, summary: str = ""
) -> None:
    """Leave this for the next run; the last call counts.

    Args:
        observations, state, metadata: dictionaries of what JSON knows, and of `datetime`.
        actions: a list of such dictionaries.
        summary: for people, at most 2,000 characters.

    Raises:
        TypeError: a part is of another type.
        ValueError: it is too large, or holds what JSON can't.
    """
    told: dict[str, Any] = {"summary": str(summary)}
    given = (observations, actions, state, metadata)
    for (name, kind), part in zip(_HANDOFF.items(), given, strict=True):
        if part is None:
            continue
        if not isinstance(part, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, not a {type(part).__name__}")
        told[name] = _encoded(part)
    text = json.dumps(told, ensure_ascii=False, allow_nan=False).encode()
    if len(text) > MOST_HANDOFF_BYTES:
        raise ValueError(f"the handoff takes {len(text):,} bytes, and may take {MOST_HANDOFF_BYTES:,}")
    if len(told["summary"]) > 2_000:
        raise ValueError(f"the summary has {len(told['summary']):,} characters, and may have 2,000")
    _leave("handoff.json", text)


def progress(told: Any) -> None:
    """Say how far this run is: its task's trace has it about a second later; the last call counts.

    What can't be written now is passed over: it is not worth the run.

    Args:
        told: a text, a number, or what else JSON knows; at most 4,096 bytes as JSON.

    Raises:
        TypeError: it is nothing that JSON knows.
        ValueError: it is too large, or a number that JSON can't hold.
    """
    text = _progress_text(told)
    with contextlib.suppress(OSError):
        _leave("progress.json", text)


def _print_progress(told: Any) -> None:
    """What a session prints is seen by people at once, and it has no task."""
    text = _progress_text(told).decode()
    with contextlib.suppress(OSError, ValueError):  # nobody reads, or the code closed it
        if sys.__stdout__ is not None:  # in place of `sys.stdout` the code may have put what it collects
            sys.__stdout__.write(f"progress: {text}\n")


def _progress_text(told: Any) -> bytes:
    if told is None:
        raise TypeError("progress is a text, a number or what else JSON knows, not None")
    text = json.dumps(told, ensure_ascii=False, allow_nan=False)
    data = text.encode("utf-8", "replace")  # names of files may hold halves of characters
    if len(data) > MOST_PROGRESS_BYTES:
        raise ValueError(f"the progress takes {len(data):,} bytes, and may take {MOST_PROGRESS_BYTES:,}")
    return data


def _leave(name: str, data: bytes) -> None:
    """Write a file of the outbox whole, whoever else writes the same one: a handler of signals, too."""
    if _OUTBOX is None:
        raise RuntimeError("SHIFTWORK_OUTBOX names no folder")
    path = os.path.join(_OUTBOX, name)  # noqa: PTH118 - quicker
    new = f"{path}.{os.getpid()}.{next(_WRITING)}"
    try:
        with open(new, "wb") as file:  # noqa: PTH123 - quicker
            file.write(data)
        os.replace(new, path)  # noqa: PTH105 - quicker
    except BaseException:  # what a handler of signals raises, too
        with contextlib.suppress(OSError):
            os.unlink(new)  # noqa: PTH108 - quicker
        raise


class Environment:
    """What is played, by the program `play` of the brief; each answer is a dictionary, as that prints it."""

    def __init__(self, brief: str) -> None:
        import runpy  # noqa: PLC0415 - needed by players alone

        self._play = runpy.run_path(os.path.join(brief, "play"))  # noqa: PTH118 - quicker

    def observe(self) -> dict[str, Any]:
        """Look again; changes nothing."""
        return self._ask({"do": "observe"})

    def step(self, action: str, /, **parameters: Any) -> dict[str, Any]:
        """Act; an action that is refused is an answer too: `ok` is False, and `error` says why."""
        return self._ask({"do": "step", "action": action, "parameters": parameters})

    def stats(self) -> dict[str, Any]:
        """How the episode goes."""
        return self._ask({"do": "stats"})

    def _ask(self, said: dict[str, Any]) -> dict[str, Any]:
        """Raises `Unusable` where it can't be asked."""
        answer: dict[str, Any] = self._play["ask"](*self._play["connection"](os.environ), said)
        return answer


def _given(job: dict[str, Any], mode: str) -> dict[str, Any]:
    handoff = job["handoff"]
    if handoff is not None:
        handoff = types.SimpleNamespace(**{name: _decoded(part) for name, part in handoff.items()})
    plays = "SHIFTWORK_ENVIRONMENT_URL" in os.environ
    return {
        "environment": Environment(os.environ["SHIFTWORK_BRIEF"]) if plays else None,
        "handoff": handoff,
        "parameters": job["parameters"],
        "instruction": job["instruction"],
        "save_handoff": save_handoff,
        "progress": _print_progress if mode == "events" else progress,
    }


def _read_all() -> bytes:
    data = bytearray()
    while chunk := os.read(0, 1 << 20):
        data += chunk
    return bytes(data)


def _teller(*, events: bool) -> Callable[..., None]:
    """What shows an exception that nobody caught; its last line on standard error says all of it."""

    def tell(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
        while trace is not None and trace.tb_frame.f_code.co_filename != NAME:
            trace = trace.tb_next
        shown = traceback.TracebackException(kind, error, trace)
        _leave_us_out(shown)
        text, last = "".join(shown.format()).rstrip("\n"), _last_line(shown, error)
        if text.rpartition("\n")[2] != last:
            text += f"\n{last}"
        sys.stderr.write(f"{text}\n")
        if events:
            sys.stdout.write(json.dumps({"kind": "error", "text": last}, separators=(", ", ":")) + "\n")

    return tell


def _last_line(shown: traceback.TracebackException, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    return " ".join("".join(shown.format_exception_only()).split())


def _leave_us_out(shown: traceback.TracebackException) -> None:
    """Take out the frames of this file, in what caused it too."""
    own = _leave_us_out.__code__.co_filename
    waiting: list[traceback.TracebackException | None] = [shown]
    while waiting:
        one = waiting.pop()
        if one is not None:
            one.stack[:] = [frame for frame in one.stack if frame.filename != own]
            waiting += (one.__cause__, one.__context__, *(one.exceptions or ()))


def _encoded(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_encoded(item) for item in value]
    if isinstance(value, dict):
        encoded = {key: _encoded(item) for key, item in value.items()}
        return {_VERBATIM: encoded} if list(encoded) in ([_MOMENT], [_VERBATIM]) else encoded
    return {_MOMENT: value.isoformat()} if _is_moment(value) else value


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == [_MOMENT]:
        from datetime import datetime  # noqa: PLC0415 - seldom needed

        try:
            return datetime.fromisoformat(value[_MOMENT])
        except (TypeError, ValueError):
            return value  # A person's, that only looks like one.
    if list(value) == [_VERBATIM] and isinstance(value[_VERBATIM], dict):
        value = value[_VERBATIM]
    return {key: _decoded(item) for key, item in value.items()}


def _is_moment(value: object) -> bool:
    module = sys.modules.get("datetime")  # without it there are none
    return module is not None and isinstance(value, module.datetime)


if __name__ == "__main__":
    main(sys.argv[1])
