"""What the parameters of an action are held against, and what an environment gets."""

import pytest

from shiftwork.environments import ActionDefinition
from shiftwork.environments.parameters import BadParameters, checked_parameters, parameter_schema


@pytest.mark.parametrize(
    ("schema", "given", "taken"),
    [
        ({"type": "integer"}, 4.0, "4"),
        ({"type": "number"}, 4.0, "4.0"),
        ({"type": ["integer", "null"]}, 4.0, "4"),
        ({"enum": [1, 4]}, 4.0, "4"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 4.0, "4"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, 4.0, "4.0"),
        ({"type": "array", "items": {"type": "integer"}}, [4.0, 5], "[4, 5]"),
        (
            {"type": "array", "prefixItems": [{"type": "number"}], "items": {"type": "integer"}},
            [4.0, 5.0],
            "[4.0, 5]",
        ),
        (
            {"type": "object", "properties": {"x": {"type": "integer"}}},
            {"x": 4.0, "y": 4.0},
            "{'x': 4, 'y': 4.0}",
        ),
        ({"allOf": [{"properties": {"x": {"type": "integer"}}}]}, {"x": 4.0}, "{'x': 4}"),
        ({}, 4.0, "4.0"),
    ],
)
def test_numbers_without_a_fraction_are_integers_where_those_are_asked_for(schema, given, taken):
    """JSON schema takes 4.0 for an integer, and an environment that counts with it fails inside."""
    action = ActionDefinition(name="go", parameters={"by": schema})
    assert repr(checked_parameters(action, {"by": given})["by"]) == taken


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/nowhere"},
        {"type": "array", "items": {"$ref": "https://example.org/schema"}},
        {"type": "object", "properties": {"x": {"anyOf": [{"$ref": "#x"}]}}},
    ],
)
def test_a_reference_to_nothing_is_found_before_it_is_used(schema):
    """A check of the definitions would find nothing, and the first step fail."""
    with pytest.raises(BadParameters, match="which is not there"):
        parameter_schema(
            ActionDefinition(name="go", parameters={"type": "object", "properties": {"by": schema}})
        )


@pytest.mark.parametrize(
    "more", [{}, {"type": ["object"]}, {"required": ["x"]}, {"$schema": "https://x.org"}]
)
def test_an_object_is_told_by_its_properties_too(more):
    """A player would be asked for a parameter that is called "properties"."""
    action = ActionDefinition(name="go", parameters={"properties": {"x": {"type": "integer"}}, **more})
    assert checked_parameters(action, {"x": 4.0}) == {"x": 4}
    assert parameter_schema(action)["type"] == "object"


@pytest.mark.parametrize("name", ["properties", "type"])
def test_a_parameter_may_be_named_as_a_keyword_is(name):
    """It would be taken for what it is in a schema."""
    action = ActionDefinition(name="go", parameters={name: {"type": "string"}})
    assert checked_parameters(action, {name: "x"}) == {name: "x"}


def test_references_that_lead_somewhere_are_taken():
    """Schemas as pydantic writes them would be refused."""
    schema = {
        "type": "object",
        "$defs": {"way": {"type": "object", "properties": {"on": {"$ref": "#/$defs/way"}}}},
        "properties": {
            "way": {"$ref": "#/$defs/way"},
            "$ref": {"type": "string"},
            "const": {"const": {"$ref": "x"}},
        },
    }
    action = ActionDefinition(name="go", parameters=schema)
    assert checked_parameters(action, {"way": {"on": {"on": {}}}}) == {"way": {"on": {"on": {}}}}
    with pytest.raises(BadParameters, match=r"way\.on"):
        checked_parameters(action, {"way": {"on": 3}})
