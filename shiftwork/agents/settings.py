"""What a project may say about its agent program, whichever it is."""

import json
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator

from shiftwork.agents.protocol import Settings
from shiftwork.contracts.base import Document
from shiftwork.errors import InvalidInput
from shiftwork.secrets import SecretRef
from shiftwork.text import truncate

ARGUMENT_BYTES = 120_000
"""Linux takes no argument, and no variable, of 128 KiB or more."""

Variable = Annotated[str, Field(pattern=r"^[^\s=\x00-\x1f\x7f]{1,200}$")]
"""A variable's name: not empty, without `=`, spaces and control characters."""


ModelPattern = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f\x7f]{1,200}$")]
"""A model's name, or a pattern for several."""


class BackendSettings(Document):
    """Settings that every agent program shares; unknown ones are refused by name.

    Attributes:
        program: its name on `PATH`, or its path; None: the backend's usual name.
        model: as the program names it; None: the program's default.
        models: which models may be asked, through the gateway, by the names that questions give them, or by
            patterns as of `fnmatch`. None: any, since programs ask others beside `model`.
        base_url: where the model's API is; None: the provider's own.
        arguments: further arguments for the program.
        permission_mode: what the program may do without asking, in its own words; None: everything that
            a session needs.
        tools: the program's tools that may be used; empty: all.
        environment: variables the program gets, by value. Secrets belong into `pass_environment`.
        pass_environment: names of the worker's own variables that the program gets too.
        credential: where the key of the model's provider is, for the gateway alone: `env:NAME`, `file:/path`
            or `keyring:service/user`, on the worker. None: the backend's usual variable.
    """

    program: str | None = None
    model: str | None = None
    models: tuple[ModelPattern, ...] | None = Field(default=None, min_length=1, max_length=100)
    base_url: str | None = None
    arguments: tuple[str, ...] = ()
    permission_mode: str | None = None
    tools: tuple[str, ...] = ()
    environment: dict[Variable, str] = {}
    pass_environment: tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], ...] = ()

    @field_validator("*")
    @classmethod
    def _can_be_passed(cls, value: Any) -> Any:
        """What no process can be started with would otherwise fail at each start, again and again."""
        check_passable(value)
        return value

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and not is_address(url):
            raise ValueError(f"{url!r} is no address; write it as https://HOST/PATH")
        return url

    credential: str | None = None

    @field_validator("credential")
    @classmethod
    def _is_a_reference(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                SecretRef.parse(text)
            except InvalidInput as error:
                raise ValueError(str(error).removesuffix(".")) from error
        return text

    def referenced(self) -> str | None:
        """The credential, if it is given by reference; may block.

        Raises:
            InvalidInput: it is not where it should be.
        """
        return None if self.credential is None else SecretRef.parse(self.credential).resolve().reveal()

    @classmethod
    def read(cls, backend: str, settings: Settings) -> Self:
        """These settings, validated; raises `InvalidInput` naming the backend and the field."""
        return read_settings(cls, backend, settings)


Model = TypeVar("Model", bound=BackendSettings)


def read_settings(model: type[Model], backend: str, settings: Settings) -> Model:
    """Validate the settings of a backend; raises `InvalidInput` naming the backend and the field."""
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        problem: Any = error.errors()[0]
        where = ".".join(truncate(str(part), 120) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = ", ".join(sorted(model.model_fields))
            raise InvalidInput(f"Backend {backend!r} has no setting {where!r}; it has: {known}.") from error
        if problem["type"] == "missing":
            raise InvalidInput(f"Backend {backend!r} needs the setting {where!r}.") from error
        said = truncate(problem["msg"].removeprefix("Value error, "), 1000)
        place = f"Backend {backend!r}, setting {where!r}" if where else f"Backend {backend!r}"
        raise InvalidInput(f"{place}: {said}.") from error


def is_address(url: str) -> bool:
    """Whether a model's API can be at this address."""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that hold no IPv6 address
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def check_passable(value: object) -> None:
    """Raise `ValueError` if no process can be given this as arguments or variables."""
    match value:
        case str():
            _check_text(value)
        case list() | tuple():
            for item in value:
                check_passable(item)
        case dict():
            _check_text(_as_json(value))
            for name, item in value.items():
                check_passable(name)
                check_passable(item)
        case _:
            pass


def _as_json(value: dict[Any, Any]) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"it can't be written as JSON ({error})") from error


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("it holds a NUL character")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise ValueError("it holds half of a character (a lone surrogate)") from error
    if size > ARGUMENT_BYTES:
        raise ValueError(
            f"it has {size} bytes, and no program can be given more than {ARGUMENT_BYTES} at once"
        )
