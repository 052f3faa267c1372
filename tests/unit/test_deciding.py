"""What people are told of a decision besides its words."""

import pytest

from client.deciding import decided_in, judged, whose


@pytest.mark.parametrize(
    ("judgement", "told"),
    [
        ((None, None, None), ""),
        (("success", 0.5, "harness"), "success (+0.5), says the harness"),
        (("partial", None, "person"), "partial, says a person"),
        (("reverted", None, None), "reverted"),
    ],
)
def test_who_judged_is_told(judgement, told):
    """If it failed, nobody could tell a person's word from what the harness saw."""
    assert judged(*judgement) == told


def test_where_it_was_decided_is_told():
    """If it failed, nobody would find the session whose transcript says more."""
    assert (decided_in(3, "search"), decided_in(0, ""), decided_in(None, "")) == ("3, search", "0", "")


def test_a_lesson_of_the_harness_is_called_so():
    """If it failed, what a program printed would look like a person's advice."""
    assert (whose("harness"), whose("person"), whose(None)) == (" of the harness", "", "")
