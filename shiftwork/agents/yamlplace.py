"""Reading YAML so that every complaint can say where: file, line and field, in one sentence."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any, NoReturn

import yaml

from shiftwork.errors import CassetteError

_DEPTH = 50
"""Most levels of nesting; an alias that holds itself would have no end."""

_PLAIN_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"
_READERS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:bool": lambda text: text.lower() in ("true", "yes", "on", "y"),
    "tag:yaml.org,2002:int": lambda text: int(text.replace("_", ""), 0),
    "tag:yaml.org,2002:float": lambda text: float(text.replace("_", "")),
}


@dataclass(frozen=True, slots=True)
class Place:
    """One value in a YAML file, and where it stands.

    Every method that reads it raises `CassetteError` if it is not what is asked for.
    """

    file: str
    node: yaml.Node
    field: str = ""

    @property
    def line(self) -> int:
        """The line it starts on, counted from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def is_null(self) -> bool:
        """Whether nothing is written there."""
        return bool(self.node.tag == _NULL)

    @property
    def is_mapping(self) -> bool:
        """Whether it is a mapping."""
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_sequence(self) -> bool:
        """Whether it is a list."""
        return isinstance(self.node, yaml.SequenceNode)

    def fail(self, problem: str) -> NoReturn:
        """Raise the error that says this of this place."""
        where = f"{self.field}: " if self.field else ""
        raise CassetteError(f"{self.file}:{self.line}: {where}{problem}")

    def mapping(self) -> dict[str, "Place"]:
        """The values of a mapping by key, merge keys (`<<`) included; a key that appears twice is refused."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"must be a mapping, not {self._what()}")
        own: dict[str, Place] = {}
        merged: dict[str, Place] = {}
        for key, value in self.node.value:
            if key.tag == _MERGE:
                merged |= self._merged(value)
                continue
            name = Place(self.file, key, self.field).text()
            if name in own:
                Place(self.file, key, self.field).fail(f"{name!r} appears twice")
            own[name] = Place(self.file, value, self._below(name))
        return {name: place for name, place in merged.items() if name not in own} | own

    def items(self) -> list["Place"]:
        """The values of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"must be a list, not {self._what()}")
        return [
            Place(self.file, item, f"{self.field}[{index}]") for index, item in enumerate(self.node.value)
        ]

    def text(self) -> str:
        """A scalar as it is written, also if YAML would read a number or a date in it."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.fail(f"must be text, not {self._what()}")
        if self.is_null:
            self.fail('is empty; write "" if that is meant')
        return str(self.node.value)

    def number(self) -> float:
        """A number that is not negative."""
        text = self.text()
        try:
            value = float(text.replace("_", ""))
        except ValueError:
            value = -1.0
        if not isfinite(value) or value < 0:
            self.fail(f"must be a number that is not negative, not {text!r}")
        return value

    def whole_number(self) -> int:
        """A whole number that is not negative."""
        value = self.number()
        if value != int(value):
            self.fail(f"must be a whole number, not {value}")
        return int(value)

    def boolean(self) -> bool:
        """True or false."""
        if self.node.tag != "tag:yaml.org,2002:bool":
            self.fail("must be true or false")
        return bool(_READERS[self.node.tag](self.text()))

    def plain(self, depth: int = 0) -> Any:
        """The value as JSON would have it; dates stay text."""
        if depth > _DEPTH:
            self.fail("is nested too deeply")
        if self.is_mapping:
            return {name: place.plain(depth + 1) for name, place in self.mapping().items()}
        if self.is_sequence:
            return [place.plain(depth + 1) for place in self.items()]
        if self.is_null:
            return None
        read = _READERS.get(self.node.tag)
        text = self.text()
        if read is None:
            return text
        try:
            return read(text)
        except ValueError:  # Other spellings of numbers (0o7, 1:30): people mean the text.
            return text

    def deepest(self, path: tuple[int | str, ...]) -> "Place":
        """The place that this path of keys and indices leads to, or the last one before it leads nowhere."""
        place = self
        for step in path:
            below = place._child(step)
            if below is None:
                return place
            place = below
        return place

    def _child(self, step: int | str) -> "Place | None":
        if isinstance(step, str):
            return self.mapping().get(step) if self.is_mapping else None
        items = self.items() if self.is_sequence else []
        return items[step] if step < len(items) else None

    def _merged(self, value: yaml.Node) -> dict[str, "Place"]:
        place = Place(self.file, value, self.field)
        sources = place.items() if place.is_sequence else [place]
        merged: dict[str, Place] = {}
        for source in reversed(sources):
            merged |= Place(self.file, source.node, self.field).mapping()
        return merged

    def _below(self, name: str) -> str:
        shown = name if _PLAIN_WORD.fullmatch(name) else f'"{name}"'
        return f"{self.field}.{shown}" if self.field else shown

    def _what(self) -> str:
        if self.is_null:
            return "nothing"
        return "a list" if self.is_sequence else "a mapping" if self.is_mapping else "plain text"


def open_yaml(path: str) -> Place:
    """The document in a file; raises `CassetteError` if it can't be read or is no YAML."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs a player 5 ms at its start
            node = yaml.compose(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise CassetteError(f"The cassette {path!r} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CassetteError(f"{path}:1: the file is not UTF-8 (byte {error.start}).") from error
    except RecursionError as error:
        raise CassetteError(f"{path}:1: the file is nested too deeply.") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CassetteError(f"{path}:{line}: this is not YAML: {_reason(error)}") from error
    except yaml.YAMLError as error:
        raise CassetteError(f"{path}:1: this is not YAML: {' '.join(str(error).split())}") from error
    if node is None:
        raise CassetteError(f"{path}:1: the file is empty.")
    return Place(path, node)


def _reason(error: yaml.MarkedYAMLError) -> str:
    return ", ".join(part for part in (error.context, error.problem) if part)
