"""What people type when they play, understood as an action."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from shiftwork.environments.parameters import BadParameters, checked_parameters, parameter_schema
from shiftwork.environments.protocol import ActionDefinition
from shiftwork.environments.trajectory import Choice
from shiftwork.errors import InvalidInput

_TRUE: Final = ("true", "yes", "y", "on", "1")
_FALSE: Final = ("false", "no", "n", "off", "0")
_MOST_FILE: Final = 1_000_000


def understood(line: str, actions: Sequence[ActionDefinition]) -> Choice:
    """The action that a line means.

    `guess 50`, `guess number=50`, `guess {"number": 50}` and `{"action": "guess", "parameters": {…}}` are
    the same; the beginning of a name is enough where no other begins so; the name may be left out where
    what is typed fits one action alone. `@FILE` stands for what a file holds.

    Raises:
        InvalidInput: it means none of the actions, or several.
    """
    text = line.strip()
    if text.startswith("{"):
        return _from_json(text, actions)
    first, _, rest = text.partition(" ")
    named = _named(first, actions)
    if len(named) == 1:
        return _of_action(named[0], rest.strip())
    if named:
        raise InvalidInput(f"{first!r} can mean {_listed(named)}; write more of it.")
    meant = []
    why = ""
    for action in actions:
        try:
            choice = _of_action(action, text)
            checked_parameters(action, choice.parameters)
        except (InvalidInput, BadParameters) as error:
            why = str(error).rstrip(".")
            continue
        if choice.parameters:
            meant.append((action, choice))
    if len(meant) == 1:
        return meant[0][1]
    if meant:
        raise InvalidInput(f"{text!r} can mean {_listed([each for each, _ in meant])}; begin with which.")
    alone = f" Taken as that: {why}." if len(actions) == 1 and why else ""
    raise InvalidInput(f"{first!r} is no action now; there are: {_listed(actions)}.{alone}")


def _named(word: str, actions: Sequence[ActionDefinition]) -> list[ActionDefinition]:
    low = word.lower()
    exact = [each for each in actions if each.name == word] or [
        each for each in actions if each.name.lower() == low
    ]
    return exact or [each for each in actions if low and each.name.lower().startswith(low)]


def _listed(actions: Sequence[ActionDefinition]) -> str:
    return ", ".join(each.name for each in actions)


def _from_json(text: str, actions: Sequence[ActionDefinition]) -> Choice:
    try:
        told = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"this is no JSON: {error}.") from None
    if isinstance(told.get("action"), str) and isinstance(told.get("parameters", {}), dict):
        return Choice(action=told["action"], parameters=told.get("parameters", {}))
    if len(actions) == 1:
        return Choice(action=actions[0].name, parameters=told)
    raise InvalidInput('write {"action": NAME, "parameters": {…}}, or the name before the braces.')


def _of_action(action: ActionDefinition, rest: str) -> Choice:
    if rest.startswith("{"):
        try:
            return Choice(action=action.name, parameters=json.loads(rest))
        except ValueError as error:
            raise InvalidInput(f"what stands after {action.name!r} is no JSON: {error}.") from None
    schemas = _properties(action)
    words = _words(rest, schemas)
    given: dict[str, Any] = {}
    left = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in schemas:
            if name in given:
                raise InvalidInput(f"{name!r} is given twice; write it once.")
            given[name] = _value(value, schemas[name])
        else:
            left.append(word)
    open_names = [name for name in schemas if name not in given]
    if left and open_names and len(left) > len(open_names):
        # The last one takes what is left: most people write no quotes.
        left = [*left[: len(open_names) - 1], " ".join(left[len(open_names) - 1 :])]
    if len(left) > len(open_names):
        takes = ", ".join(schemas) or "nothing"
        raise InvalidInput(f"{action.name!r} takes {takes}; {' '.join(left)!r} is too much.")
    given |= {name: _value(word, schemas[name]) for name, word in zip(open_names, left, strict=False)}
    return Choice(action=action.name, parameters=given)


def _properties(action: ActionDefinition) -> dict[str, Mapping[str, Any]]:
    """The schemas of the parameters; those that have to be given come first."""
    try:
        schema = parameter_schema(action)
    except BadParameters as error:
        raise InvalidInput(f"{error}.") from None
    properties = schema.get("properties", {})
    required = [name for name in properties if name in schema.get("required", ())]
    named = [*required, *(name for name in properties if name not in required)]
    return {name: properties[name] if isinstance(properties[name], Mapping) else {} for name in named}


def _words(rest: str, schemas: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if len(schemas) == 1 and rest and not rest.startswith(("'", '"')):
        (name,) = schemas
        if not rest.startswith(f"{name}="):
            return [rest]
    try:
        return shlex.split(rest)
    except ValueError:  # an apostrophe, not a quote
        return rest.split()


def _value(word: str, schema: Mapping[str, Any]) -> Any:
    """A word as the value that its schema asks for; where it can't be that, as it is."""
    options = schema.get("enum")
    if isinstance(options, list):
        return next((each for each in options if str(each).lower() == word.lower()), _plain(word, options))
    kinds = schema.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "string" in kinds:
        return _text(word)
    if "boolean" in kinds and word.lower() in _TRUE + _FALSE:
        return word.lower() in _TRUE
    return _plain(word, ())


def _plain(word: str, options: Sequence[Any]) -> Any:
    close = [each for each in options if str(each).lower().startswith(word.lower())]
    if len(close) == 1:
        return close[0]
    try:
        return json.loads(word)
    except ValueError:
        return word


def _text(word: str) -> str:
    if not word.startswith("@") or len(word) == 1:
        return word
    file = Path(word[1:]).expanduser()
    try:
        if file.stat().st_size > _MOST_FILE:
            raise InvalidInput(f"{word[1:]!r} has more than {_MOST_FILE:,} bytes; take a smaller file.")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise InvalidInput(f"{word[1:]!r} can't be read: {why}; name another file.") from None
