"""Whether sets are told apart from those that only look the same."""

import random
import subprocess
import sys
from types import SimpleNamespace

import pytest

from shiftwork.environments import ActionResult, HarnessStatus
from shiftwork.environments.restoring import Snapshot
from tests.unit.walking import Walk


class Deck(Walk):
    """It draws from a set, and puts back what it can't use."""

    drawn = None

    async def reset(self, seed=None):
        self.deck = set(range(52))
        return await super().reset()

    async def step(self, action, by=1):
        self.place = self.deck.pop()
        if by < 7:
            return ActionResult(observation=self.seen())
        self.deck.add(self.place)
        if by == 8:
            raise OSError("the line is down")
        return ActionResult(success=False, observation=self.seen(), error="can't be played now")


@pytest.mark.parametrize("by", [7, 8])
async def test_a_set_that_gets_back_what_it_popped_pops_it_again(by):
    """A refused draw would decide which card comes next; an episode taken up again would be another one."""
    environment, untouched = Deck(), Deck()
    for each in (environment, untouched):
        await each.reset(seed=1)
        await each.step("go")
    for _ in range(3):
        assert not (await environment.step("go", by=by)).success
        assert environment.status is HarnessStatus.ACTIVE
    for _ in range(5):
        assert (await environment.step("go")).observation == (await untouched.step("go")).observation


def meddle(found, chance):
    """Change a set so that it has the same elements again."""
    way = chance.randrange(3)
    if way == 0:
        for new in chance.sample(range(200, 400), 3):
            found.add(new)
            found.discard(new)
    elif way == 1 and found:
        found.add(found.pop())
    else:
        for each in [found.pop() for _ in range(len(found))]:
            found.add(each)


def follow(found, chance):
    """What becomes of a set from now on."""
    told = []
    for _ in range(12):
        if chance.random() < 0.4 and found:
            told.append(found.pop())
        else:
            found.add(chance.randrange(200))
        told.append(list(found))
    return told


def test_a_set_that_is_called_untouched_goes_on_as_if_it_were():
    """Neither its order nor its size tells what was in it, and what it does next follows from that."""
    untouched = 0
    for seed in range(3000):
        chance = random.Random(seed)
        elements = [chance.randrange(60) for _ in range(chance.randrange(1, 40))]
        popped = chance.randrange(3)
        one, other = set(elements), set(elements)
        for found in (one, other):
            for _ in range(min(popped, len(found))):
                found.pop()
        before = Snapshot(SimpleNamespace(found=one))
        if seed % 5:
            meddle(one, chance)
        if before.put_back():
            untouched += 1
            assert follow(one, random.Random(seed)) == follow(other, random.Random(seed)), seed
        assert seed % 5 or untouched
    assert untouched >= 600


def test_a_set_that_was_not_touched_is_known_as_such():
    """Each failed action would have an episode made again from its beginning, whatever it did."""
    for size in (0, 1, 5, 100, 60_000):
        owner = SimpleNamespace(found=set(range(size)), other=0)
        before = Snapshot(owner)
        owner.other = 1
        assert (before.put_back(), owner.other) == (True, 0)


def test_where_sets_can_not_be_read_none_is_called_untouched():
    """On another interpreter, what lies elsewhere would be read, and sets be taken for what they are not."""
    code = (
        "import sys; from types import SimpleNamespace; "
        "sys.implementation.name = 'another'; "
        "from shiftwork.environments.restoring import Snapshot; "
        "owner = SimpleNamespace(found={1, 2}); before = Snapshot(owner); owner.found.add(3); "
        "print(before.put_back(), owner.found, Snapshot(owner).put_back())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "False {1, 2} False\n"
