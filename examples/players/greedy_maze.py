"""Plays `maze`: always goes to the neighbour where it has been least often.

It reads a line of JSON for each turn and writes one, as every program does that plays. It remembers where it
has been; when an episode is taken up again in which it had played before, it finds that out from the history.
"""

import json
import random
import sys
from collections import Counter

STEPS = {"north": (-1, 0), "south": (1, 0), "west": (0, -1), "east": (0, 1)}

Cell = tuple[int, int]


def main() -> None:
    """Answer until the episode is over."""
    visits: Counter[Cell] = Counter()
    for line in sys.stdin:
        turn = json.loads(line)
        if turn.get("over"):
            break
        place = turn["observation"]["metadata"]
        here = (place["row"], place["column"])
        visits.update([here, *visited_before(here, turn.get("history", []))])
        chance = random.Random(f"{turn['seed']} {turn['number']}")
        direction = choose(here, place["open"], visits, chance)
        print(json.dumps({"action": "move", "parameters": {"direction": direction}}), flush=True)


def choose(here: Cell, ways: list[str], visits: Counter[Cell], chance: random.Random) -> str:
    """The way to the neighbour that was visited least often; chance decides between equals."""
    return min(ways, key=lambda way: (visits[gone(here, way)], chance.random()))


def visited_before(here: Cell, history: list[dict]) -> list[Cell]:
    """Where the steps of a history led through, the last of which led here."""
    cells = []
    for step in reversed(history):
        if step["success"]:
            here = gone(here, step["parameters"]["direction"], times=-1)
            cells.append(here)
    return cells


def gone(cell: Cell, way: str, times: int = 1) -> Cell:
    """The cell that lies so many steps away."""
    return cell[0] + times * STEPS[way][0], cell[1] + times * STEPS[way][1]


if __name__ == "__main__":
    main()
