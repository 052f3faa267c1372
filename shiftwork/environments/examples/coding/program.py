"""What runs in the sandbox, given to the interpreter as a text; it imports nothing of ours.

It reads one job from standard input and writes one line of JSON for each thing it has to tell on what was
standard output. Three kinds of job, of which only the first holds what an agent wrote:

`answer`   run a solution, call its function with inputs, and write each output. It gets inputs only.
`record`   run the asserts of a problem against the reference solution, and write what it is called with.
`replay`   run the asserts against answers that were written before, and write whether they hold.
"""

import json
import os
import random
import resource
import sys
from collections.abc import Callable, Iterator
from typing import Any

MOST_DEPTH = 50
"""How deep lists may lie in each other."""

_TAG = "$"


def encode(value: Any, depth: int = MOST_DEPTH) -> Any:
    """A plain value as JSON, from which `decode` makes an equal one; raises `TypeError` for any other."""
    if depth < 0:
        raise TypeError("lists lie too deep in each other")
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return value if abs(value) < 2**53 else {_TAG: "int", "is": hex(value)}
    if kind is float:
        return {_TAG: "float", "is": value.hex()}
    if kind is list:
        return [encode(each, depth - 1) for each in value]
    if kind in (tuple, set, frozenset):
        return {_TAG: kind.__name__, "is": [encode(each, depth - 1) for each in value]}
    if kind is dict:
        pairs = [[encode(key, depth - 1), encode(each, depth - 1)] for key, each in value.items()]
        return {_TAG: "dict", "is": pairs}
    raise TypeError(f"a value of type {kind.__name__} is no plain value")


def decode(told: Any) -> Any:
    """The value; raises `ValueError`, `TypeError` or `KeyError` for what `encode` did not make."""
    if isinstance(told, list):
        return [decode(each) for each in told]
    if not isinstance(told, dict):
        return told
    kind, content = told[_TAG], told["is"]
    if kind in ("int", "float"):
        return int(content, 16) if kind == "int" else float.fromhex(content)
    if kind == "dict":
        return {decode(key): decode(each) for key, each in content}
    return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](decode(each) for each in content)


def main() -> None:
    """Do the job that stands on standard input."""
    job = json.loads(sys.stdin.buffer.read())
    tell = _teller()
    _limit(job["memory"])
    {"answer": _answer, "record": _record, "replay": _replay}[job["kind"]](job, tell)
    os._exit(0)  # what a solution left behind, in threads or at exit, has nothing to say any more


def _teller() -> Callable[..., None]:
    """What writes a line; what is printed otherwise goes to standard error."""
    ours = os.dup(1)
    os.dup2(2, 1)

    def tell(**said: Any) -> None:
        data = json.dumps(said).encode() + b"\n"
        while data:
            data = data[os.write(ours, data) :]

    return tell


def _limit(memory: int) -> None:
    """No more address space than this, and no other process or thread."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _module(code: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": name, "__builtins__": __builtins__}
    exec(compile(code, name, "exec", dont_inherit=True), found)  # noqa: S102 - this is what it is for
    return found


def _answer(job: dict[str, Any], tell: Callable[..., None]) -> None:
    """Tells `begun`, and for each input `output`, or `error`, which is for examples only."""
    try:
        function = _module(job["code"], "solution")[job["function"]]
    except KeyError:
        tell(error=f"there is no function {job['function']!r}")
        return
    except BaseException as error:  # noqa: BLE001 - whatever a solution raises
        tell(error=_shown(error))
        return
    tell(begun=True)
    for arguments in job["calls"]:
        try:
            told = {"output": encode(function(*decode(arguments)))}
        except BaseException as error:  # noqa: BLE001 - whatever a solution raises
            told = {"error": _shown(error)}
        sys.stdout.flush()
        tell(**told)


def _record(job: dict[str, Any], tell: Callable[..., None]) -> None:
    names = _module(job["reference"], "reference")
    reference = names[job["function"]]

    def candidate(*arguments: Any) -> Any:
        tell(arguments=encode(list(arguments)))
        return reference(*arguments)

    _check(job, names, candidate)
    tell(held=True)


def _replay(job: dict[str, Any], tell: Callable[..., None]) -> None:
    names = _module(job["reference"], "reference")
    answers: Iterator[Any] = iter(zip(job["calls"], job["answers"], strict=False))

    def candidate(*arguments: Any) -> Any:
        asked, answer = next(answers)
        if decode(asked) != list(arguments):
            raise AssertionError("another answer led to another question")
        tell(asked=True)
        return decode(answer)

    try:
        _check(job, names, candidate)
    except Exception as error:  # noqa: BLE001 - an answer of another type than expected may raise anything
        tell(held=False, why=type(error).__name__)
    else:
        tell(held=True)


def _check(job: dict[str, Any], names: dict[str, Any], candidate: Callable[..., Any]) -> None:
    random.seed(job["seed"])  # asserts that draw their inputs draw the same ones each time
    exec(compile(job["test"], "test", "exec", dont_inherit=True), names)  # noqa: S102 - the problem's own
    names["check"](candidate)


def _shown(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except BaseException:  # noqa: BLE001 - its own `__str__`
        return "an exception"


if __name__ == "__main__":
    main()
