"""JSON merge patches, as RFC 7396 has them."""

import pytest
from pydantic import ValidationError

from client.merging import merged, patch_of
from shiftwork.contracts.agent import AgentConfiguration


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_standard(before, patch, after) -> None:
    """If it failed, a program that knows the standard would change something else than it means."""
    assert merged(before, patch) == after


def test_a_patch_may_hold_any_field_at_every_depth_and_no_other() -> None:
    """If it failed, a field could not be changed by itself, or a misspelt one would change nothing."""
    model = patch_of(AgentConfiguration)
    assert set(model.model_fields) == set(AgentConfiguration.model_fields)
    patch = {"limits": {"processes": 60}, "timeout": None, "sandbox": {"hosts": ("a.example",)}}
    assert model.model_validate(patch).model_dump(exclude_unset=True) == patch
    for wrong in ({"tiemout": 1}, {"limits": {"memory": 1}}, {"timeout": 0}, {"prices": {"input": -1}}):
        with pytest.raises(ValidationError):
            model.model_validate(wrong)
    assert "default" not in str(model.model_json_schema()["properties"]["timeout"])
