"""Problems of our own; their hidden tests are drawn anew for each episode."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from shiftwork.environments.examples.coding import references
from shiftwork.environments.examples.coding.problem import Arguments, Case, Difficulty, Hidden, Problem

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


def _problem(
    difficulty: Difficulty,
    reference: Callable[..., Any],
    text: str,
    shown: Sequence[Arguments],
    draw: Callable[[random.Random], Sequence[Arguments]],
) -> Problem:
    examples = tuple(Case(given, reference(*given)) for given in shown)
    name = reference.__name__
    return Problem(name, difficulty, text, name, examples, Hidden(reference, draw))


def _texts(chance: random.Random, letters: str, longest: int, number: int = 10) -> list[Arguments]:
    return [("".join(chance.choices(letters, k=chance.randint(1, longest))),) for _ in range(number)]


def _numbers(chance: random.Random, most: int, length: int) -> list[int]:
    return [chance.randint(-most, most) for _ in range(chance.randint(0, length))]


def _balanced(chance: random.Random) -> list[Arguments]:
    nested: list[Arguments] = []
    for _ in range(8):
        text = ""
        for _ in range(chance.randint(1, 30)):
            left, right = chance.choice(("()", "[]", "{}"))
            text = left + text + right if chance.random() < 0.5 else f"{text}{left}x{right}"
        nested.append((text,))
    return [("",), (")(",), ("([)]",), ("(((",), *nested, *_texts(chance, "()[]{}", 8)]


def _spiral(chance: random.Random) -> list[Arguments]:
    sizes = [
        (0, 0),
        (1, 1),
        (1, 5),
        (5, 1),
        *((chance.randint(2, 9), chance.randint(2, 9)) for _ in range(8)),
    ]
    return [([[chance.randint(0, 99) for _ in range(wide)] for _ in range(high)],) for high, wide in sizes]


def _ranges(chance: random.Random) -> list[Arguments]:
    drawn: list[Arguments] = []
    for _ in range(12):
        starts = [chance.randint(-50, 50) for _ in range(chance.randint(2, 20))]
        drawn.append(([[start, start + chance.randint(0, 12)] for start in starts],))
    return [([],), ([[5, 5]],), ([[1, 10], [2, 3]],), ([[1, 2], [3, 4]],), *drawn]


def _words(chance: random.Random) -> list[Arguments]:
    known = ["Tea", "tea", "TEA", "coffee", "milk", "Sugar", "sugar", "cup", "x"]
    drawn = [" ".join(chance.choices(known, k=chance.randint(1, 40))) for _ in range(10)]
    return [("", 3), ("b a", 1), ("one, two; two!", 2), *((text, chance.randint(0, 6)) for text in drawn)]


def _long_rise(chance: random.Random) -> list[Arguments]:
    many = [chance.randint(0, 10**6) for _ in range(20_000)]
    return [
        ([],),
        ([3, 3, 3],),
        (list(range(50, 0, -1)),),
        (many,),
        *((_numbers(chance, 40, 60),) for _ in range(10)),
    ]


def _coins(chance: random.Random) -> list[Arguments]:
    drawn = [(chance.randint(0, 400), chance.sample(range(1, 60), chance.randint(1, 6))) for _ in range(10)]
    return [(0, [1, 2]), (5, []), (7, [2, 4]), (2_000, [1, 2, 5, 10, 20, 50, 100]), *drawn]


def _grids(chance: random.Random) -> list[Arguments]:
    drawn: list[Arguments] = []
    for _ in range(12):
        high, wide = chance.randint(2, 25), chance.randint(2, 25)
        cells = ["".join(chance.choices(".#", weights=(3, 1), k=wide)) for _ in range(high)]
        cells[0], cells[-1] = "." + cells[0][1:], cells[-1][:-1] + "."
        drawn.append((cells,))
    return [(["."],), (["#"],), ([".#", "#."],), *drawn]


def _sums(chance: random.Random) -> list[Arguments]:
    def made(depth: int) -> str:
        if depth == 0 or chance.random() < 0.2:
            return str(chance.randint(0, 20))
        if chance.random() < 0.2:
            return f"-({made(depth - 1)})"
        sign = chance.choice(("+", "-", "*", " + ", " - ", " * "))
        both = f"{made(depth - 1)}{sign}{made(depth - 1)}"
        return f"({both})" if chance.random() < 0.5 else both

    return [("7",), ("2+3*4",), ("10-4-3",), ("-(2)*-3",), (" ( 1 ) ",), *((made(4),) for _ in range(12))]


def _pairs(chance: random.Random) -> list[Arguments]:
    texts = _texts(chance, "abc", 60, 20)
    drawn = [(one[0], other[0]) for one, other in zip(texts[::2], texts[1::2], strict=True)]
    return [("", ""), ("", "abc"), ("same", "same"), *drawn]


def _orders(chance: random.Random) -> list[Arguments]:
    drawn: list[Arguments] = []
    for number in range(12):
        names = chance.sample(_LETTERS, chance.randint(2, 14))
        needs = {
            name: chance.sample(names[:place], chance.randint(0, min(place, 3)))
            for place, name in enumerate(names)
        }
        if number % 4 == 3:
            needs[names[0]] = [names[-1]]
            needs[names[-1]] = [names[0]]
        drawn.append((needs,))
    return [({},), ({"b": ["a"]},), ({"a": ["a"]},), ({"c": [], "a": [], "b": []},), *drawn]


PROBLEMS: Final = (
    _problem(
        "easy",
        references.run_lengths,
        "Return the runs of equal characters of a text, in order: a list of [character, length].",
        [("aaabcc",), ("",)],
        lambda chance: [("a",), ("abab",), ("11 1",), *_texts(chance, "ab ", 40)],
    ),
    _problem(
        "easy",
        references.balanced,
        "Return whether the brackets ()[]{} of a text close each other in the right order. Other "
        "characters do not count.",
        [("f(a[1])",), ("(]",)],
        _balanced,
    ),
    _problem(
        "easy",
        references.roman,
        "Return a number from 1 to 3999 in Roman numerals, such as 'XIV' for 14.",
        [(14,), (1990,)],
        lambda chance: [(1,), (4,), (40,), (900,), (3999,), *((chance.randint(1, 3999),) for _ in range(12))],
    ),
    _problem(
        "easy",
        references.spiral,
        "Return the cells of a grid, a list of rows of the same length, clockwise in a spiral from "
        "the top left to the middle.",
        [([[1, 2, 3], [4, 5, 6], [7, 8, 9]],), ([[1, 2], [3, 4], [5, 6]],)],
        _spiral,
    ),
    _problem(
        "medium",
        references.merge_ranges,
        "Return ranges [first, last], both ends included and in any order, with those merged that "
        "share a number, sorted. Ranges that only touch, such as [1, 2] and [3, 4], are not merged.",
        [([[8, 10], [1, 3], [2, 6]],), ([[1, 2], [3, 4]],)],
        _ranges,
    ),
    _problem(
        "medium",
        references.top_words,
        "Return the given number of words that are most frequent in a text, the most frequent first "
        "and equally frequent ones by the alphabet. Words are runs of the letters a to z; upper and "
        "lower case are the same, and they are returned in lower case.",
        [("The cat and the dog. And THE bird!", 2), ("b a", 5)],
        _words,
    ),
    _problem(
        "medium",
        references.longest_rise,
        "Return the length of the longest strictly rising subsequence of a list of integers, whose "
        "elements need not be beside each other. Lists may have 20,000 elements.",
        [([10, 9, 2, 5, 3, 7, 101, 18],), ([],)],
        _long_rise,
    ),
    _problem(
        "medium",
        references.change_ways,
        "Return in how many ways an amount can be paid with coins of the given values, of each of "
        "which there are as many as you like. The order of coins does not count.",
        [(5, [1, 2, 5]), (3, [2])],
        _coins,
    ),
    _problem(
        "hard",
        references.shortest_route,
        "Return the fewest steps from the top left to the bottom right of a grid, a list of texts of "
        "the same length in which '.' is free and '#' is a wall. A step goes up, down, left or right."
        " Return -1 where there is no way, or where one of the two cells is a wall.",
        [(["..#", "#..", "#.."],), ([".#", "#."],)],
        _grids,
    ),
    _problem(
        "hard",
        references.calculate,
        "Return the value of an expression of integers with +, -, * and parentheses; * comes before +"
        " and -, and - may stand before any part. Blanks do not count. Don't use eval or exec.",
        [("2 + 3 * (4 - 1)",), ("-(2 - 5)",)],
        _sums,
    ),
    _problem(
        "hard",
        references.edit_distance,
        "Return how many characters have to be inserted, removed or replaced, at least, to make one "
        "text of the other.",
        [("kitten", "sitting"), ("", "abc")],
        _pairs,
    ),
    _problem(
        "hard",
        references.build_order,
        "Return the order in which to build parts, of which each is built after those that it needs: "
        "of those that could be next always the first by the alphabet. Given is what each part needs;"
        " parts that are only needed need nothing. Return an empty list where parts need each other "
        "in a circle.",
        [({"app": ["lib", "ui"], "ui": ["lib"]},), ({"a": ["b"], "b": ["a"]},)],
        _orders,
    ),
)
"""From easy to hard."""
