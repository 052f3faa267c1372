"""The references of our own problems, from which their expected outputs are taken."""

import bisect
import heapq
import itertools
import re
from collections import Counter, deque
from typing import Final

_ROMAN: Final = (
    *((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL")),
    *((10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")),
)
_BRACKETS: Final = {")": "(", "]": "[", "}": "{"}


def run_lengths(text: str) -> list[list[object]]:
    return [[letter, len(list(run))] for letter, run in itertools.groupby(text)]


def balanced(text: str) -> bool:
    waiting: list[str] = []
    for letter in text:
        if letter in "([{":
            waiting.append(letter)
        elif letter in _BRACKETS and (not waiting or waiting.pop() != _BRACKETS[letter]):
            return False
    return not waiting


def roman(number: int) -> str:
    said = ""
    for value, letters in _ROMAN:
        said += letters * (number // value)
        number %= value
    return said


def spiral(grid: list[list[int]]) -> list[int]:
    rows, found = [list(row) for row in grid], []
    while rows and rows[0]:
        found += rows.pop(0)
        rows = [list(column) for column in zip(*rows, strict=True)][::-1]
    return found


def merge_ranges(ranges: list[list[int]]) -> list[list[int]]:
    merged: list[list[int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return merged


def top_words(text: str, number: int) -> list[str]:
    counted = Counter(re.findall("[a-z]+", text.lower()))
    return sorted(counted, key=lambda word: (-counted[word], word))[:number]


def longest_rise(numbers: list[int]) -> int:
    ends: list[int] = []
    for number in numbers:
        place = bisect.bisect_left(ends, number)
        ends[place : place + 1] = [number]
    return len(ends)


def change_ways(amount: int, coins: list[int]) -> int:
    ways = [1] + [0] * amount
    for coin in coins:
        for paid in range(coin, amount + 1):
            ways[paid] += ways[paid - coin]
    return ways[amount]


def shortest_route(grid: list[str]) -> int:
    free = {(r, c) for r, row in enumerate(grid) for c, cell in enumerate(row) if cell == "."}
    goal = (len(grid) - 1, len(grid[0]) - 1)
    steps = {(0, 0): 0} if (0, 0) in free else {}
    waiting = deque(steps)
    while waiting:
        row, column = waiting.popleft()
        for there in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            if there in free and there not in steps:
                steps[there] = steps[row, column] + 1
                waiting.append(there)
    return steps.get(goal, -1)


def calculate(expression: str) -> int:
    tokens = deque(re.findall(r"\d+|[-+*()]", expression))

    def part() -> int:
        first = tokens.popleft()
        if first == "-":
            return -part()
        if first == "(":
            value = total()
            tokens.popleft()
            return value
        return int(first)

    def product() -> int:
        value = part()
        while tokens and tokens[0] == "*":
            tokens.popleft()
            value *= part()
        return value

    def total() -> int:
        value = product()
        while tokens and tokens[0] in "+-":
            value += product() if tokens.popleft() == "+" else -product()
        return value

    return total()


def edit_distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        above, row = row, [number]
        for column, wanted in enumerate(other, 1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (letter != wanted)))
    return row[-1]


def build_order(needs: dict[str, list[str]]) -> list[str]:
    left = {part: set(needs.get(part, ())) for part in {*needs, *itertools.chain(*needs.values())}}
    ready = [part for part, needed in left.items() if not needed]
    heapq.heapify(ready)
    order = []
    while ready:
        order.append(heapq.heappop(ready))
        for part, needed in left.items():
            if order[-1] in needed:
                needed.remove(order[-1])
                if not needed:
                    heapq.heappush(ready, part)
    return order if len(order) == len(left) else []
