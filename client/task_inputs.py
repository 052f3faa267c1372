"""What tasks are asked for with: bounded, and kept as it is or refused before anything is made."""

import json
import math
from collections.abc import Mapping

from pydantic import JsonValue

from shiftwork.agents.python.telling import MOST_PARAMETERS_BYTES, check_size
from shiftwork.contracts.agent import PYTHON
from shiftwork.errors import InvalidInput
from shiftwork.storable import check_mapping, check_text
from shiftwork.store.agents import AgentDefinition
from shiftwork.store.schedules import OCCURRENCE_KEYS
from shiftwork.store.task_rows import NewTask
from shiftwork.text import one_line

MOST_INSTRUCTION = 100_000
"""Characters of an instruction."""

MOST_USER_ID = 200
MOST_REQUEST_KEY = 200

_LONGEST_PROVIDER = 60
_LONGEST = 7 * 86_400
_MOST_OUTPUT = 16 * 1024 * 1024


def new_task(
    provider: str,
    instruction: str,
    parameters: Mapping[str, JsonValue] | None,
    request_key: str | None,
    user_id: str = "",
) -> NewTask:
    """What a task is made of; raises `InvalidInput` for what would become something else when it is kept."""
    _check_provider(provider)
    _check_words("The instruction", instruction, MOST_INSTRUCTION)
    _check_words("user_id", user_id, MOST_USER_ID)
    if request_key is not None:
        _check_key(request_key)
    check_mapping("parameters", {} if parameters is None else parameters)
    return NewTask(
        provider=provider,
        user_id=user_id,
        instruction=instruction,
        parameters=dict(parameters or {}),
        request_key=request_key,
    )


def check_parameters(agent: AgentDefinition, parameters: Mapping[str, JsonValue]) -> None:
    """Raise `InvalidInput` for more parameters, its own among them, than a run of the agent can be given."""
    if agent.kind == PYTHON:
        given = {**agent.config.parameters, **parameters}
        check_size("parameters", json.dumps(given), MOST_PARAMETERS_BYTES)


def check_limits(
    timeout: float | None, max_output_bytes: int | None, *, output: str = "max_output_bytes"
) -> None:
    """Raise `InvalidInput` for limits that are none: there is no run without a time.

    Args:
        output: what the caller calls `max_output_bytes`.
    """
    if timeout is not None and not (_is_number(timeout) and 0 < timeout <= _LONGEST):
        raise InvalidInput(
            f"timeout is {timeout!r:.80}; it must be a number of more than 0 and at most {_LONGEST} seconds."
        )
    most = max_output_bytes
    if most is not None and not (_is_number(most) and isinstance(most, int) and 0 < most <= _MOST_OUTPUT):
        raise InvalidInput(f"{output} is {most!r:.80}; it must be a whole number from 1 to {_MOST_OUTPUT}.")


def check_wait(timeout: float) -> None:
    """Raise `InvalidInput` for what is no time to wait."""
    if not (_is_number(timeout) and timeout >= 0):
        raise InvalidInput(f"timeout is {timeout!r:.80}; it must be a number of seconds, 0 or more.")


def check_page(before: int | None, limit: int) -> None:
    """Raise `InvalidInput` for what is no part of a list."""
    for name, value in (("before", 0 if before is None else before), ("limit", limit)):
        if not (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63):
            raise InvalidInput(f"{name} is {value!r:.80}; it must be a whole number, 0 or more.")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_words(what: str, value: str, most: int) -> None:
    check_text(what, value)
    if len(value) > most:
        raise InvalidInput(f"{what} has {len(value):,} characters, and may have {most:,}; shorten it.")


def _check_key(request_key: str) -> None:
    _check_words("request_key", request_key, MOST_REQUEST_KEY)
    if not request_key:
        raise InvalidInput("request_key is empty; give each request a key of its own, or none.")
    if request_key.startswith(OCCURRENCE_KEYS):
        raise InvalidInput(
            f"request_key begins with {OCCURRENCE_KEYS!r}, as those of schedules' occurrences do; choose "
            "another one."
        )


def _check_provider(provider: str) -> None:
    check_text("The provider", provider)
    if not 0 < len(provider) <= _LONGEST_PROVIDER or one_line(provider) != provider:
        raise InvalidInput(
            f"{provider!r:.80} can't be a provider: name one in 1 to {_LONGEST_PROVIDER} characters, such as "
            "'noop'; `shiftwork doctor` lists them."
        )
