"""A specification file: Markdown, optionally with front matter in YAML."""

import os
import stat
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, field_validator

from client.wording import first_problem
from shiftwork.contracts.base import Document, Name
from shiftwork.contracts.feature import FeatureCategory
from shiftwork.contracts.limits import AgentLimits
from shiftwork.contracts.plan import SetupCommand, setup_commands
from shiftwork.contracts.project import AgentOptions, CategoryOptions
from shiftwork.contracts.sandbox import SandboxOptions
from shiftwork.contracts.session import Role
from shiftwork.errors import InvalidInput
from shiftwork.specifications import MOST_BYTES
from shiftwork.storable import check_text, given_path


class FrontMatter(Document):
    """What the head of a specification may say; an option of the command line goes before it.

    Attributes:
        prompts: files, relative to the specification's folder; `read_specification` puts their text here.
    """

    name: Name | None = None
    setup: tuple[SetupCommand, ...] = ()
    max_sessions: Annotated[int, Field(ge=1)] | None = None
    max_attempts: Annotated[int, Field(ge=1)] | None = None
    max_parallel: Annotated[int, Field(ge=1, le=64)] | None = None
    budget_usd: Annotated[float, Field(ge=0)] | None = None
    verification_timeout: Annotated[float, Field(gt=0)] | None = None
    session_timeout: Annotated[float, Field(gt=0)] | None = None
    stall_timeout: Annotated[float, Field(gt=0)] | None = None
    agent: AgentOptions | None = None
    roles: dict[Role, AgentOptions] = {}
    categories: dict[FeatureCategory, CategoryOptions] = {}
    prompts: dict[Role, str] = {}
    limits: AgentLimits | None = None
    sandbox: SandboxOptions | None = None
    secrets_allowed_in: tuple[str, ...] | None = None

    _strings = field_validator("setup", mode="before")(setup_commands)


class Specification(Document):
    """What is to be built: the text for the initializer agent, and the name of the project."""

    name: Name
    text: Annotated[str, Field(min_length=1)]
    head: FrontMatter = FrontMatter()


def read_specification(path: Path) -> Specification:
    """Read a specification; raises `InvalidInput` naming the file, the field and what to do."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"specification {str(path)!r} can't be read: {error.strerror}.") from error
    if len(data) > MOST_BYTES:
        raise InvalidInput(f"specification {str(path)!r} is larger than {MOST_BYTES:,} bytes; shorten it.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"specification {str(path)!r} is not UTF-8 (byte {error.start}).") from error
    head, body = _split(path, text.removeprefix("\ufeff"))
    prompts = {role: read_prompt(path.parent / name) for role, name in head.prompts.items()}
    head = head.model_copy(update={"prompts": prompts}) if prompts else head
    if not body.strip():
        raise InvalidInput(f"specification {str(path)!r} is empty; describe what is to be built.")
    text = body.strip()
    text += "\n" if len(text.encode()) < MOST_BYTES else ""
    return Specification(name=head.name or _title(body) or path.stem, text=text, head=head)


def read_prompt(path: Path) -> str:
    """What agents are told in the place of our own words; raises `InvalidInput` naming the file."""
    what = f"prompt {str(path)!r}"
    given_path("the path of a prompt", path)
    try:
        # A FIFO, or a device without an end, would be read for ever.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidInput(f"{what} is no regular file; give the path of one.")
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise InvalidInput(f"{what} is larger than {MOST_BYTES:,} bytes; shorten it.")
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{what} can't be read: it is not UTF-8.") from error
    except OSError as error:
        raise InvalidInput(f"{what} can't be read: {error.strerror}.") from error
    check_text(what, text)
    text = text.strip()
    if not text:
        raise InvalidInput(f"prompt {str(path)!r} is empty; say how the agent works, or leave it out.")
    return text


def _split(path: Path, text: str) -> tuple[FrontMatter, str]:
    if not text.startswith("---\n"):
        return FrontMatter(), text
    head, mark, body = text.removeprefix("---\n").partition("\n---\n")
    if not mark:
        raise InvalidInput(f"specification {str(path)!r}: the front matter has no closing `---` line.")
    try:
        loaded: Any = yaml.safe_load(head)
        # Those inside ignore what they don't know, for the sake of newer processes; a person is told.
        return FrontMatter.model_validate(loaded or {}, extra="forbid"), body
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 2
        raise InvalidInput(
            f"specification {str(path)!r}, line {line}: the front matter is no YAML."
        ) from error
    except ValidationError as error:
        raise InvalidInput(f"specification {str(path)!r}: {first_problem(error, FrontMatter)}.") from error


def _title(body: str) -> str | None:
    for line in body.splitlines():
        if line.startswith("# "):
            return line.removeprefix("# ").strip()[:120] or None
    return None
