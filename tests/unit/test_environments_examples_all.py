"""What all example environments have in common, and the plain parts of coding challenges."""

import copy
import itertools
import math
import random

import pytest

from shiftwork.environments.conformance import check_harness
from shiftwork.environments.examples import EXAMPLES, CodingChallengeHarness
from shiftwork.environments.examples.coding import references
from shiftwork.environments.examples.coding.problem import same
from shiftwork.environments.examples.coding.problems import PROBLEMS
from shiftwork.environments.examples.coding.program import decode, encode
from shiftwork.environments.examples.coding.telling import Unreadable, value_of
from shiftwork.errors import InvalidInput
from tests.unit.pace_support import paces


def test_every_example_has_a_name_and_a_limit_of_its_own():
    """A list of environments would show one twice, or one without an end."""
    for name, kind in EXAMPLES.items():
        environment = kind()
        assert environment.name == name
        assert environment.description
        assert environment.max_steps > 0
        assert kind(max_steps=3).max_steps == 3


@pytest.mark.parametrize("name", EXAMPLES)
async def test_what_an_example_holds_is_copied_quickly(name):
    """Every step would wait for a copy of a world."""
    environment = EXAMPLES[name]()
    await environment.reset(seed=1)
    state = {key: value for key, value in vars(environment).items() if key != "_play"}
    assert paces(lambda: [copy.deepcopy(state) for _ in range(30)]) < 5


@pytest.mark.parametrize("name", EXAMPLES)
async def test_two_instances_share_nothing(name):
    """A game would change another one."""
    one, other = EXAMPLES[name](), EXAMPLES[name]()
    first = await one.reset(seed=1)
    await other.reset(seed=2)
    assert await one.get_observation() == first


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - {"coding_challenge"}))
async def test_an_example_keeps_every_rule_of_environments(name):
    """What people learn from would break the rules that theirs are held to."""
    report = await check_harness(EXAMPLES[name], episodes=2, steps=15)
    assert report.ok, report.faults


VALUES = [
    *(
        None,
        True,
        1,
        -1,
        2**80,
        0.1,
        math.inf,
        "",
        "ä\n",
        [],
        [[1], "x"],
        (1, (2,)),
        {1, 2},
        frozenset({"a"}),
    ),
    {"a": 1, 2: [None], (1, 2): {}},
    {"$": "tuple", "is": [1]},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_come_through_as_they_are(value):
    """A function would be called with something else than its tests say."""
    found = decode(encode(value))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value", [object(), 1j, b"x", len, type("Odd", (int,), {})(1)], ids=lambda v: type(v).__name__
)
def test_other_values_are_no_answers(value):
    """An answer would bring its own idea of being equal."""
    with pytest.raises(TypeError, match="is no plain value"):
        encode([value])


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"$": "tuple"},
        {"$": [], "is": 1},
        {"$": "set", "is": [[1]]},
        {"$": "dict", "is": [1]},
        {"$": "dict", "is": [[[], 1]]},
        {"$": "int", "is": "no"},
        {"$": "float", "is": "0x1p99999"},
        {"$": "float", "is": None},
        {"$": "object", "is": 1},
    ],
    ids=str,
)
def test_what_nothing_of_ours_wrote_is_no_value(told):
    """A solution could end the judge."""
    with pytest.raises(Unreadable):
        value_of([told])


@pytest.mark.parametrize(
    ("expected", "answer", "is_same"),
    [
        (1, 1, True),
        (1, True, False),
        (True, 1, False),
        (1, 1.0, True),
        (0.3, 0.1 + 0.2, True),
        (0.3, 0.31, False),
        (0.3, math.nan, False),
        ([1, 2], (1, 2), True),
        ([1, 2], [1, 2, 3], False),
        ([1, [0.3]], [1, [0.1 + 0.2]], True),
        ([], None, False),
        (None, None, True),
        (None, 0, False),
        ({"a": 0.3}, {"a": 0.1 + 0.2}, True),
        ({"a": 1}, {"b": 1}, False),
        ("1", 1, False),
    ],
)
def test_an_answer_is_right_or_not(expected, answer, is_same):
    """Right answers would fail for their type, or wrong ones pass."""
    assert same(expected, answer) is is_same


def tries_all_edits(one, other):
    if not one or not other:
        return len(one) + len(other)
    rest = tries_all_edits(one[1:], other[1:]) + (one[0] != other[0])
    return min(rest, tries_all_edits(one[1:], other) + 1, tries_all_edits(one, other[1:]) + 1)


def tries_all_rises(numbers):
    parts = (c for n in range(len(numbers) + 1) for c in itertools.combinations(numbers, n))
    return max(len(c) for c in parts if all(a < b for a, b in itertools.pairwise(c)))


def tries_all_coins(amount, coins):
    counts = itertools.product(*(range(amount // coin + 1) for coin in coins))
    return sum(sum(map(int.__mul__, some, coins)) == amount for some in counts)


def test_references_agree_with_trying_everything():
    """A right solution would be judged by a wrong reference."""
    chance = random.Random(6)
    for _ in range(60):
        one, other = ("".join(chance.choices("ab", k=chance.randint(0, 5))) for _ in range(2))
        assert references.edit_distance(one, other) == tries_all_edits(one, other)
        numbers = [chance.randint(0, 9) for _ in range(chance.randint(0, 9))]
        assert references.longest_rise(numbers) == tries_all_rises(numbers)
        coins, amount = chance.sample(range(1, 9), 3), chance.randint(0, 20)
        assert references.change_ways(amount, coins) == tries_all_coins(amount, coins)
    for problem in PROBLEMS:
        for case in problem.hidden.cases(chance):
            if problem.name == "calculate":
                assert case.expected == eval(case.arguments[0].strip())
            if problem.name == "balanced":
                text, before = "".join(c for c in case.arguments[0] if c in "()[]{}"), None
                while text != before:
                    before, text = text, text.replace("()", "").replace("[]", "").replace("{}", "")
                assert case.expected is (text == "")


def test_problems_have_three_difficulties_and_enough_hidden_tests():
    """A draw by difficulty would be empty, or a lucky guess pass."""
    assert len(PROBLEMS) == len({problem.name for problem in PROBLEMS}) == 12
    for difficulty in ("easy", "medium", "hard"):
        assert {each.difficulty for each in CodingChallengeHarness(difficulty=difficulty).problems} == {
            difficulty
        }
    for problem in PROBLEMS:
        cases = problem.hidden.cases(random.Random(1))
        assert len(cases) >= 12
        assert len(problem.examples) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"problem": "none"},
        {"difficulty": "brutal"},
        {"source": "internet"},
        {"path": "HumanEval.jsonl.gz"},
        {"submissions": 0},
        {"seconds": math.nan},
        {"memory_mb": -1},
    ],
)
def test_parameters_of_challenges_are_checked(options):
    """A misspelt problem would be another one."""
    with pytest.raises(InvalidInput, match="give "):
        CodingChallengeHarness(**options)
