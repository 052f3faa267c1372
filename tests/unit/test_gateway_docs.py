"""The gateway's document says what is there."""

from dataclasses import fields

from shiftwork.gateway import Bounds, Outcome, Reason
from shiftwork.gateway.routes import _ROUTES
from tests.unit.docs_support import ROOT, table

DOCUMENT = ROOT / "docs" / "gateway.md"


def test_every_bound_is_documented_with_its_default():
    """If it failed, a bound would be secret, or its documented default would be wrong."""
    documented = {row[0]: row[1] for row in table(DOCUMENT, "Bounds")}
    assert documented == {field.name: f"{field.default:.0f}" for field in fields(Bounds)}


def test_every_outcome_and_reason_is_documented():
    """If it failed, whoever counts calls could not know what they became."""
    text = DOCUMENT.read_text()
    assert {row[0] for row in table(DOCUMENT, "What is told")} == {outcome.value for outcome in Outcome}
    assert [reason.value for reason in Reason if f"`{reason.value}`" not in text] == []


def test_every_wire_is_documented():
    """If it failed, nobody would know what passes."""
    assert {row[0] for row in table(DOCUMENT, "What passes")} == {wire.value for wire in _ROUTES}
