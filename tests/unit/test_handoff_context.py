"""The context of a handoff as JSON: what comes back, and what is refused."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork.errors import InvalidInput
from shiftwork.handoffs import HandoffContext
from shiftwork.handoffs.context import MOST_BYTES

MOMENT = datetime(2026, 3, 29, 1, 30, tzinfo=timezone(timedelta(hours=2)))
LETTERS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
KEYS = st.one_of(LETTERS, st.sampled_from(["$datetime", "$value"]))
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63) + 1, 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        LETTERS,
        st.datetimes(timezones=st.sampled_from([None, UTC, MOMENT.tzinfo])),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_goes_in_comes_out(state):
    """If it failed, an agent would go on from something else than it left."""
    context = HandoffContext(observations={"o": 1}, actions=[{"type": "look"}], state=state)
    assert HandoffContext.from_json(context.to_json()) == context


def test_a_moment_stays_the_same_moment():
    """If it failed, an agent would compute with a text, or an hour too late."""
    loaded = HandoffContext.from_json(HandoffContext(state={"last_run": MOMENT}).to_json())
    assert loaded.state["last_run"] == MOMENT
    assert loaded.state["last_run"].utcoffset() == timedelta(hours=2)


def test_bare_it_is_empty():
    """If it failed, an agent could not leave half of it."""
    assert HandoffContext.from_json("{}") == HandoffContext({}, [], {}, {})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({1, 2}, "state.x of a handoff is a set, which JSON can't hold"),
        (float("nan"), "state.x of a handoff is nan"),
        (2**63, "more than 63 bits"),
        ("\ud800", "lone surrogate"),
        ("a\x00b", "NUL character"),
        ({1: 2}, "has the key 1; keys must be text"),
        ([{"a": object()}], r"state\.x\[0\]\.a of a handoff is a object"),
    ],
)
def test_what_json_can_not_hold_is_named(value, says):
    """If it failed, an agent's handoff would be lost or altered without a word of which value it was."""
    with pytest.raises(InvalidInput, match=says):
        HandoffContext(state={"x": value}).to_json()


def test_too_deep_and_too_large_are_refused():
    """If it failed, one agent could make every later brief fail, or fill the database."""
    deep = {}
    for _ in range(70):
        deep = {"d": deep}
    with pytest.raises(InvalidInput, match="more than 64 levels"):
        HandoffContext(state=deep).to_json()
    with pytest.raises(InvalidInput, match="most of them in its observations"):
        HandoffContext(observations={"log": "x" * MOST_BYTES}).to_json()
    for text in ("[" * 5_000 + "]" * 5_000, '{"state": ' + '{"a":' * 500 + "1" + "}" * 501):
        with pytest.raises(InvalidInput):
            HandoffContext.from_json(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not valid JSON"),
        ("[]", "must be a JSON object"),
        ('{"state": []}', "state of a handoff must be a dictionary, not list"),
        ('{"actions": {}}', "actions of a handoff must be a list"),
        ('{"actions": [1]}', r"actions\[0\] of a handoff must be a dictionary"),
        ('{"stat": {}}', "no field 'stat'"),
        ('{"state": {"a": NaN}}', "NaN is no number"),
        ('{"state": {"$datetime": "soon"}}', "as a moment, which is none"),
    ],
)
def test_what_is_no_context_is_refused(text, says):
    """If it failed, a broken handoff would fail later, in an agent, without a reason."""
    with pytest.raises(InvalidInput, match=says):
        HandoffContext.from_json(text)


def test_it_is_plain_json():
    """If it failed, other programs could not read it."""
    text = HandoffContext(state={"at": MOMENT, "$datetime": 1}).to_json()
    assert json.loads(text)["state"] == {"at": {"$datetime": "2026-03-29T01:30:00+02:00"}, "$datetime": 1}
