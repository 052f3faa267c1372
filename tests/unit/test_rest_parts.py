"""What the REST interface says of itself, and that it does all that the command line does."""

from datetime import UTC, datetime

import pytest

from client.cli.table import COMMANDS
from client.rest.answering import Feature
from client.rest.app import HEALTH, make_application
from client.rest.streams import Streams
from shiftwork.contracts.feature import FeatureSpec, VerificationStep
from shiftwork.settings import Settings
from shiftwork.store.rows import FeatureRow
from tests.unit.docs_support import ROOT, table

DOCUMENT = ROOT / "docs" / "rest.md"


@pytest.fixture(scope="module")
def schema(tmp_path_factory) -> dict:
    """The OpenAPI document."""
    return make_application(Settings(state=tmp_path_factory.mktemp("state")), Streams()).openapi()


@pytest.fixture(scope="module")
def operations(schema) -> dict:
    """Every operation by its method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def test_every_command_has_a_route_or_says_why_not(operations) -> None:
    """If it failed, people could do by the command line what no program could."""
    documented = dict(table(DOCUMENT, "Routes"))
    assert set(documented) == {command.name for command in COMMANDS}
    for command, routes in documented.items():
        if routes != "on this machine only":
            named = [route.strip("` ") for route in routes.split(",")]
            assert set(named) <= set(operations), command


def test_every_operation_is_described(operations) -> None:
    """If it failed, whoever makes a client would have to guess."""
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)
    for name, operation in operations.items():
        assert operation["summary"], name
        assert operation["description"].endswith("."), name
        assert operation["tags"], name
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])


def test_every_operation_has_its_security_and_problems(schema, operations) -> None:
    """If it failed, a client would meet an answer that it was not told of."""
    assert schema["security"] == [{"token": []}]
    assert schema["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for name, operation in operations.items():
        if name == f"GET {HEALTH}":
            assert operation["security"] == []
            continue
        assert "security" not in operation
        problems = {code: answer for code, answer in operation["responses"].items() if code >= "400"}
        assert {"400", "401", "403", "413", "415", "421", "422", "503"} <= set(problems), name
        for answer in problems.values():
            assert list(answer["content"]) == ["application/problem+json"], name
    documented = {int(row[0]) for row in table(DOCUMENT, "Errors")}
    told = {int(code) for each in operations.values() for code in each["responses"] if code >= "400"}
    assert documented == told | {405}


def test_every_body_has_an_example(schema, operations) -> None:
    """If it failed, whoever makes a first request would have to put it together by hand."""
    for name, operation in operations.items():
        if "requestBody" not in operation:
            continue
        content = operation["requestBody"]["content"]["application/json"]
        model = schema["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        assert model["examples"], name
        assert model["additionalProperties"] is False, name


def test_nothing_is_fetched_from_elsewhere(schema) -> None:
    """If it failed, a page of the server would run another one's scripts, with the token at hand."""
    app = make_application(Settings(state=ROOT / "nowhere"), Streams())
    assert (app.docs_url, app.redoc_url) == (None, None)
    assert {path for path in schema["paths"] if not path.startswith("/api/")} == set()


async def test_a_feature_that_checks_nothing_or_that_no_shell_reads_says_so() -> None:
    """If it failed, people would take a feature for verified that nobody could fail."""
    at = datetime.now(UTC)
    unset = dict.fromkeys(
        (
            *("kept_commit", "candidate", "question", "last_error", "last_failure"),
            *("blocked_reason", "passed_commit"),
        )
    )
    spec = FeatureSpec(name="a", verification_steps=({"command": "true"},))
    where = {"id": 1, "project_id": "p", "status": "not_started", "revision": 1, "attempts": 0, "runs": 0}
    facts = {**spec.model_dump(), **unset, **where, "waiting": False, "created_at": at, "updated_at": at}
    row = FeatureRow.model_validate(facts)
    assert "step 1 checks nothing" in (Feature.of(row).warning or "")
    checked = row.model_copy(update={"verification_steps": (VerificationStep(command="make test"),)})
    assert Feature.of(checked).warning is None
    assert (await Feature.of(checked).looked_at()).warning is None
    never = VerificationStep(command="make", expect_status=-1)
    told = Feature.of(row.model_copy(update={"verification_steps": (never,)})).warning
    assert "step 1 can't pass: no command ends with the exit status -1" in (told or "")
    unreadable = row.model_copy(update={"verification_steps": (VerificationStep(command="(make"),)})
    told = (await Feature.of(unreadable).looked_at()).model_dump(mode="json")["warning"]
    assert "step 1: " in told
    assert "can't read '(make'" in told
    # A page of features starts no shells, and no command makes it an error.
    assert Feature.of(unreadable).warning is None
    odd = row.model_copy(update={"verification_steps": (VerificationStep(command="exit " + "9" * 5000),)})
    assert Feature.of(odd).warning is None
