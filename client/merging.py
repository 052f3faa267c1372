"""JSON merge patches (RFC 7396): what of a document changes, and a model of such changes."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo


def merged(before: object, patch: object) -> Any:
    """What a document is after a patch: objects are merged at every depth, and null takes a name away."""
    if not isinstance(patch, Mapping):
        return patch
    after = dict(before) if isinstance(before, Mapping) else {}
    for name, change in patch.items():
        if change is None:
            after.pop(name, None)
        else:
            after[name] = merged(after.get(name), change)
    return after


def patch_of(model: type[BaseModel]) -> type[BaseModel]:
    """The model of patches of this one: any of its fields, at every depth, each of which may be null.

    What a model says of several fields together is for the document that comes of it, so it is left out.
    """
    fields: dict[str, Any] = {name: _change(field) for name, field in model.model_fields.items()}
    config = ConfigDict(extra="forbid", frozen=True)
    return create_model(f"{model.__name__}Patch", __config__=config, __doc__=model.__doc__, **fields)


def _change(field: FieldInfo) -> tuple[Any, Any]:
    kind: Any = _nullable(field.annotation)
    kind = Annotated[kind, *field.metadata] if field.metadata else kind
    return kind | None, Field(None, json_schema_extra=_without_default)


def _without_default(schema: dict[str, Any]) -> None:
    """What is left out stays; whoever took null for its default would take it away."""
    schema.pop("default", None)


def _nullable(kind: Any) -> Any:
    """The same type, with patches for the models in it, and names of a mapping that null takes away."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return patch_of(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is dict:
        return dict[arguments[0], arguments[1] | None]  # type: ignore[valid-type]  # known when it runs
    models = [each for each in arguments if isinstance(each, type) and issubclass(each, BaseModel)]
    return patch_of(models[0]) if models else kind
