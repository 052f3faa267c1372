"""What a validation found, or a library said, in words for people who never heard of that library."""

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from shiftwork.errors import ShiftworkError
from shiftwork.text import one_line, truncate

_KINDS = {
    "dict_type": "must be a mapping of names to values",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "string_type": "must be text",
    "string_unicode": "holds half of a character (a lone surrogate), or is no UTF-8; remove that",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "has too many digits",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "missing": "is missing",
}
_BOUNDS = {
    "greater_than": ("gt", "must be above {}"),
    "greater_than_equal": ("ge", "must be {} or more"),
    "less_than": ("lt", "must be below {}"),
    "string_too_short": ("min_length", "must have {} characters or more"),
    "string_too_long": ("max_length", "must have {} characters at most"),
    "too_short": ("min_length", "must have {} items or more"),
    "too_long": ("max_length", "must have {} items at most"),
    "less_than_equal": ("le", "must be {} or less"),
}
_KEY = "[key]"
_SHOWN = 120
"""Characters of a name or a value that somebody gave: more would hide what is said of it."""
_SAID = 1000


def sentence(error: Exception) -> str:
    """What an error says, on one line; one that is none of ours with its kind before it."""
    if isinstance(error, ShiftworkError):
        return str(error)
    return truncate(one_line(f"unexpected {type(error).__name__}: {error}"), _SAID)


def first_problem(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """The first problem of a validation, as field and sentence; `model` knows which fields there are."""
    place, said = first_place(error, model)
    if not place and error.errors()[0]["type"] == "value_error":  # of the whole: it says what it is about
        return said
    where = ".".join(truncate(str(part), _SHOWN) for part in place) or "it"
    return f"{where}: {said}"


def first_place(
    error: ValidationError, model: type[BaseModel] | None = None
) -> tuple[tuple[int | str, ...], str]:
    """The same in two: where it is, and the sentence about that."""
    problem = error.errors()[0]
    place = tuple(problem["loc"])
    if place[-1:] == (_KEY,):  # the name itself is wrong: it is what the sentence is about
        place = place[:-2]
    return place, _said(problem, model)


def said_of(problem: Any) -> str:
    """One problem of a validation as a sentence without its end, which leaves out where it is."""
    return _said(problem, None)


def unexpected(error: Exception) -> str:
    """What nobody expected, as a sentence for a model: without our frames, and without secrets."""
    from shiftwork.secrets import own_redactor  # noqa: PLC0415 - takes long, and hardly anything goes wrong

    what = " ".join(own_redactor().redact(str(error)).split())[:500]
    return f"Unexpected {type(error).__name__}: {what}."


def _said(problem: Any, model: type[BaseModel] | None) -> str:
    kind, facts = problem["type"], problem.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    match kind:
        case "extra_forbidden":
            known = _fields_at(model, problem["loc"])
            said = f"is not known{'; known are: ' if known else ''}{', '.join(sorted(known))}"
        case "enum" | "literal_error":
            said = f"{truncate(repr(problem['input']), _SHOWN)} is not known; known are {facts['expected']}"
        case "model_type":
            said = _no_model(facts.get("class_name"), problem["input"])
        case "string_pattern_mismatch":
            given = truncate(repr(problem["input"]), _SHOWN)
            said = f"{given} has not the form that it must have: {facts['pattern']}"
        case _ if kind in _BOUNDS and problem["input"] != problem["input"]:
            said = "must be a number"  # NaN keeps no bound, and is none
        case "string_too_short" if facts["min_length"] == 1:
            said = "is empty"
        case _ if kind in _BOUNDS:
            name, words = _BOUNDS[kind]
            bound = facts[name]
            said = words.format(int(bound) if isinstance(bound, float) and bound.is_integer() else bound)
        case _:
            said = truncate(str(problem["msg"]).removeprefix("Value error, "), _SAID)
    return said


def _no_model(name: str | None, given: object) -> str:
    """An agent is what people most often name where its fields belong."""
    if name == "AgentOptions":
        named = isinstance(given, str) and given.isidentifier() and len(given) <= _SHOWN
        example = given if named else "claude"
        return f"must have the fields of an agent: write {{backend: {example}}}"
    return "must be a mapping with fields of its own"


def _fields_at(model: type[BaseModel] | None, place: Sequence[int | str]) -> Sequence[str]:
    """The fields that belong where the last one of this place was written."""
    for part in place[:-1]:
        if model is None:
            break
        if part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation)
        # Else it is a key of a mapping, or an index: its values have the model that is known already.
    return tuple(model.model_fields) if model is not None else ()


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
