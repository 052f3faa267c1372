"""What environments there are, as lists and pages tell of them."""

import inspect
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from typing import Any

from pydantic import BaseModel, Field, JsonValue, TypeAdapter, ValidationError

from shiftwork.environments.base import BaseHarness
from shiftwork.environments.protocol import ActionDefinition
from shiftwork.environments.registry import (
    BRIDGES,
    Factory,
    find_environments,
    load_environment,
    make_environment,
)
from shiftwork.errors import EnvironmentFailed, InvalidInput, NotFound
from shiftwork.text import one_line, truncate

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
_LONGEST = 2_000


class EnvironmentParameter(BaseModel):
    """What an environment can be made with."""

    name: str
    type: str = Field(description="As its author wrote it; empty if that is not told.")
    required: bool
    default: JsonValue = None


class Environment(BaseModel):
    """An environment: what it is, what it is made with, and what can be done in it."""

    name: str
    description: str
    players: list[str] = Field(description="Who plays, where several do; else empty.")
    parameters: list[EnvironmentParameter]
    actions: list[ActionDefinition] = Field(description="As it is made without parameters, if it can be.")
    max_steps: int | None
    timeout_seconds: float | None


class Environments(BaseModel):
    """Every environment that is installed, and a sentence on each that can't be used."""

    environments: list[Environment]
    problems: list[str]
    bridges: list[str] = Field(
        [], description="Packages whose environments there are too, each as PACKAGE/NAME."
    )


class Told(BaseModel):
    """One environment as another process tells it, or a sentence on why it can't."""

    environment: Environment | None = None
    problem: str = ""


def installed_environments() -> Environments:
    """Those that are found here; each is imported, and made if it needs nothing for that."""
    found = find_environments()
    told, problems = [], list(found.problems)
    for name in found.names:
        try:
            told.append(described(name, found.factories[name]))
        except (EnvironmentFailed, InvalidInput, NotFound) as error:
            problems.append(str(error))
    return Environments(environments=told, problems=_without_secrets(problems), bridges=_bridges())


def _bridges() -> list[str]:
    return [name for name in BRIDGES if find_spec(name.replace("-", "_")) is not None]


def environment_page(name: str, parameters: Mapping[str, JsonValue] | None = None) -> Environment:
    """One of them, or any by its path, made with these parameters.

    Raises:
        NotFound: there is none of that name.
        InvalidInput: it can't be loaded, or does not take these parameters.
        EnvironmentFailed: it could not be made.
    """
    return described(name, load_environment(name), parameters)


def described(name: str, factory: Factory, given: Mapping[str, JsonValue] | None = None) -> Environment:
    """What is told of an environment, without secrets; see `environment_page`."""
    page = _described(name, factory, given)
    return Environment.model_validate({**_without_secrets(page.model_dump()), "name": name})


def _without_secrets(told: Any) -> Any:
    from shiftwork.secrets import own_redactor  # noqa: PLC0415 - takes long, and whoever lists tools needs none

    return own_redactor().redact_json(told)


def _described(name: str, factory: Factory, given: Mapping[str, JsonValue] | None) -> Environment:
    parameters = _parameters(factory)
    needs = [each.name for each in parameters if each.required and each.name not in (given or {})]
    made = None if needs and given is None else make_environment(name, given)
    return Environment(
        name=name,
        description=truncate((made and made.description) or _first_line(factory), _LONGEST),
        players=list(made.agents) if made else [],
        parameters=parameters,
        actions=_actions(name, made) if made else [],
        max_steps=made.max_steps if made else None,
        timeout_seconds=made.timeout_seconds if made else None,
    )


def _actions(name: str, made: BaseHarness) -> list[ActionDefinition]:
    try:
        return made.get_action_space()
    except Exception as error:  # foreign code; a list must not end with it
        why = one_line(truncate(f"{type(error).__name__}: {error}", 300))
        raise EnvironmentFailed(f"environment {name!r} can't tell its actions: {why}") from error


def _parameters(factory: Factory) -> list[EnvironmentParameter]:
    try:
        signature = inspect.signature(factory)
    except ValueError:  # some classes of extension modules tell none
        return []
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [
        EnvironmentParameter(
            name=each.name,
            type=_type_name(each.annotation),
            required=each.default is each.empty,
            default=_plain(None if each.default is each.empty else each.default),
        )
        for each in signature.parameters.values()
        if each.kind in named
    ]


def _type_name(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    written = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return str(written).replace("typing.", "")


def _plain(value: object) -> JsonValue:
    try:
        return _JSON.validate_python(value, strict=True)
    except ValidationError:
        return one_line(truncate(repr(value), 200))


def _first_line(factory: Factory) -> str:
    lines: Sequence[str] = (inspect.getdoc(factory) or "").splitlines()
    return lines[0].strip() if lines else ""


def _told(name: str) -> Told:
    try:
        return Told(environment=environment_page(name))
    except (EnvironmentFailed, InvalidInput, NotFound) as error:
        return Told(problem=_without_secrets(str(error)))


def main() -> None:
    """Print them all as JSON, or the one that is named: foreign code may harm this process, no server."""
    named = sys.argv[1:]
    with redirect_stdout(sys.stderr):  # what their packages print on import
        told = _told(named[0]) if named else installed_environments()
    sys.stdout.write(told.model_dump_json())


if __name__ == "__main__":
    main()
