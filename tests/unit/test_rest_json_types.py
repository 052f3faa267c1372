"""What a body holds must be of the type that the OpenAPI document says."""

import pytest

from client.json_types import misfits
from client.rest.app import make_application
from client.rest.streams import Streams
from shiftwork.settings import Settings

NUMBER, WHOLE, BOOLEAN = "must be a number", "must be a whole number", "must be true or false"


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> dict:
    """The schemas of all bodies."""
    app = make_application(Settings(state=tmp_path_factory.mktemp("state")), Streams())
    return app.openapi()["components"]["schemas"]


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        ("RegisterAgent", {"config": {"timeout": True}}, {"config.timeout": NUMBER}),
        ("RegisterAgent", {"config": {"timeout": "30"}}, {"config.timeout": NUMBER}),
        ("RegisterAgent", {"config": {"enabled": "yes"}}, {"config.enabled": BOOLEAN}),
        ("RegisterAgent", {"config": {"enabled": 1}}, {"config.enabled": BOOLEAN}),
        ("RegisterAgent", {"config": {"limits": {"processes": "5"}}}, {"config.limits.processes": WHOLE}),
        ("ChangeAgent", {"config": {"budget_usd": "1"}}, {"config.budget_usd": NUMBER}),
        ("ChangeAgent", {"config": {"prices": {"input": True}}}, {"config.prices.input": NUMBER}),
        ("ExecuteAgent", {"agent": True}, {"agent": "must be text or a whole number"}),
        ("ExecuteAgent", {"wait": "1", "timeout": "1"}, {"wait": NUMBER, "timeout": NUMBER}),
        ("Backfill", {"start": 0, "end": "2026-01-01T00:00:00Z"}, {"start": "must be text"}),
        ("CreateProject", {"options": {"max_parallel": "2"}}, {"options.max_parallel": WHOLE}),
        ("CreateProject", {"start": "no"}, {"start": BOOLEAN}),
        ("Revert", {"consent": "true"}, {"consent": BOOLEAN}),
        ("CreateEvaluation", {"episodes": "2"}, {"episodes": WHOLE}),
        (
            "AddFeature",
            {"verification_steps": [{}, {"timeout": "3"}]},
            {"verification_steps.1.timeout": NUMBER},
        ),
    ],
)
def test_what_is_of_another_type_is_found(named, model, body, expected) -> None:
    """If it failed, a text would be taken for a number, and `true` for one second."""
    found = {".".join(map(str, place)): said for place, said in misfits(body, named[model], named)}
    assert found == expected


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (
            "RegisterAgent",
            {
                "config": {
                    "timeout": 5,
                    "limits": {"cpu_seconds": None, "processes": 5.0},
                    "parameters": {"a": "1", "b": [True]},
                    "schedules": {"a": "@every 1d"},
                    "overlap": "skip",
                },
                "settings": {"argv": ["true", 1, None]},
            },
        ),
        ("ChangeAgent", {"config": None, "description": None}),
        ("ChangeAgent", {"config": {"timeout": None, "schedules": {"a": None}, "enabled": False}}),
        ("ExecuteAgent", {"agent": 1, "parameters": {"a": True}}),
        ("ExecuteAgent", {"agent": "1"}),
        ("Backfill", {"start": "2026-01-01T00:00:00Z"}),
        ("CreateProject", {"options": {"roles": {"testing": {"backend": "claude"}}, "nope": 1}}),
        # Another kind of fault, which is told better by who knows the field.
        ("RegisterAgent", {"name": 5, "config": [], "settings": 1}),
        ("RegisterAgent", []),
    ],
)
def test_what_is_of_its_type_passes(named, model, body) -> None:
    """If it failed, requests would be refused that are as the document says."""
    assert list(misfits(body, named[model], named)) == []
