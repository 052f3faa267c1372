"""Solutions to coding challenges, judged in the sandbox of this machine."""

import inspect
import os
import re
import sys
import sysconfig
from pathlib import Path

import pytest

from shiftwork.environments.conformance import check_harness
from shiftwork.environments.examples import CodingChallengeHarness
from shiftwork.environments.examples.coding import confined, references
from shiftwork.environments.examples.coding.confined import Allowance, run_job
from shiftwork.environments.examples.coding.problems import PROBLEMS
from shiftwork.errors import EnvironmentFailed
from shiftwork.runner.environment import base_python
from shiftwork.sandbox.choose import candidates, choose_sandbox
from tests.unit.process_support import living, token

RIGHT = inspect.getsource(references)
SLOW = """
def roman(number):
    said = ""
    for value, letters in zip((1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
                              "M CM D CD C XC L XL X IX V IV I".split()):
        while number >= value:
            said, number = said + letters, number - value
    return said
"""


def others_reach(path):
    """Whether any user may enter the folders above."""
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


async def submitted(code, problem="roman", seed=1, **options):
    """What comes of one submission."""
    environment = CodingChallengeHarness(problem, **options)
    await environment.reset(seed=seed)
    result = await environment.step("submit", code=code)
    assert result.success, result.error
    return environment, result


@pytest.mark.parametrize("problem", [each.name for each in PROBLEMS])
async def test_every_problem_can_be_solved_and_a_stub_solves_none(problem):
    """An agent would be asked for what can't be done, or be paid for nothing."""
    environment, result = await submitted(RIGHT, problem)
    assert result.reward == pytest.approx(1)
    assert result.observation.terminated
    assert environment.get_stats().success
    assert "Solved: all" in result.observation.content
    shown = {repr(case.expected) for case in environment.task.problem.examples}
    for guess in ["None", *shown]:
        _, result = await submitted(f"def {problem}(*_): return {guess}", problem)
        assert not result.observation.terminated
        assert result.reward < 0.7


async def test_parts_are_paid_once_and_the_episode_ends_with_the_last_submission():
    """An agent could earn more by failing often than by solving."""
    small = SLOW + "\nright = roman\ndef roman(n): return right(n) if n < 2000 else ''"
    environment, first = await submitted(small, submissions=3)
    again = await environment.step("submit", code=small)
    assert 0 < first.reward < 1
    assert again.reward == 0
    assert "what went wrong first: a wrong answer. \nSubmissions" not in again.observation.content
    last = await environment.step("submit", code="def roman(n): return 1 / 0")
    assert last.reward == 0
    assert "it raised an exception" in last.observation.content
    assert last.observation.terminated
    assert not environment.get_stats().success
    assert environment.get_stats().total_reward == first.reward


async def test_examples_show_what_came_of_them_and_cost_nothing():
    """An agent could not see why its code fails."""
    environment = CodingChallengeHarness("roman")
    await environment.reset(seed=1)
    code = "def roman(n):\n    print('called with', n)\n    return 'XIV' if n == 14 else 1 / 0"
    result = await environment.step("run_examples", code=code)
    seen = result.observation.content
    assert (result.reward, result.done) == (0, False)
    assert "1 of 2 examples pass." in seen
    assert "- roman(14): ok" in seen
    assert "- roman(1990): ZeroDivisionError: division by zero" in seen
    assert "called with 1990" in seen
    for broken, why in [("def roman(:", "SyntaxError"), ("x = 1", "there is no function 'roman'")]:
        assert why in (await environment.step("run_examples", code=broken)).observation.content


async def test_hidden_tests_say_nothing_of_their_inputs():
    """An agent would print the hidden inputs, and answer from a table."""
    code = "def roman(n):\n    print('secretly', n)\n    raise ValueError(f'secretly {n}')"
    _, result = await submitted(code)
    assert "secretly" not in result.model_dump_json()
    code = "def roman(n):\n    raise type(f'Secretly{n}', (Exception,), {})"
    _, result = await submitted(code)
    assert "Secretly" not in result.model_dump_json()


HOSTILE = {
    "exits": "import os; os._exit(0)",
    "exits in its function": "import os\ndef roman(n): os._exit(0)",
    "raises what ends programs": "def roman(n): raise SystemExit(0)",
    "says that it passed": (
        "import os\n"
        "for fd in range(1, 30):\n"
        '    try: os.write(fd, b\'{"begun": true}\\n{"held": true}\\n{"passed": 17, "total": 17}\\n\')\n'
        "    except OSError: pass\n"
        "def roman(n): return ''"
    ),
    "equals everything": (
        "class Any(str):\n    __eq__ = lambda *_: True\n    __hash__ = str.__hash__\n"
        "def roman(n): return Any()"
    ),
    "writes another encoder": (
        "import __main__, json\n__main__.encode = lambda *_: True\njson.dumps = lambda *_: 'true'\n"
        "def roman(n): return 1"
    ),
    "looks at its frames": (
        "import sys, os\ndef roman(n):\n    frame = sys._getframe()\n"
        "    while frame:\n"
        "        for name, value in {**frame.f_locals, **frame.f_globals}.items():\n"
        "            if name in ('expected', 'cases', 'reference', 'hidden', 'answers'): os._exit(0)\n"
        "        frame = frame.f_back\n    return ''"
    ),
    "never ends": "def roman(n):\n    while True: pass",
    "ignores the end": "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass",
    "writes without end": "import os\nwhile True: os.write(1, b'x' * 65536)",
    "answers too much": "def roman(n): return 'M' * 10**6",
    "takes all memory": "held = bytearray(10**10)\ndef roman(n): return ''",
    "takes it bit by bit": "held = []\nwhile True: held.append(bytearray(10**6))",
    "forks": "import os\nwhile True: os.fork()",
    "forks, and goes on": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "kills all it can": "import os, signal\nos.kill(-1, signal.SIGKILL)\ndef roman(n): return ''",
    "stops itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "answers in depth": "def roman(n):\n    v = []\n    for _ in range(10**5): v = [v]\n    return v",
    "has no text": "import sys\nsys.stdout.close()\ndef roman(n): return ''",
    "is half a character": "'\\udc00'\ndef roman(n): return chr(0xdc00)",
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE.keys())
async def test_no_trick_passes(code):
    """A solution would be paid for what it says of itself, or take this machine with it."""
    environment, result = await submitted(code, seconds=1.5, memory_mb=100)
    assert result.reward == 0
    assert not environment.is_success()
    assert environment.verdicts[0].passed == 0
    after = await environment.step("submit", code=SLOW)
    assert after.reward == pytest.approx(1)


async def test_nothing_of_this_machine_is_in_reach(tmp_path):
    """A solution would read the reference, the tests or somebody's files, or send them away."""
    canary = tmp_path / "canary"
    canary.write_text("canary")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(0o755)
    probe = f"""
import os, socket
def roman(n):
    found = []
    for path in ({str(canary)!r}, {references.__file__!r}, '/etc/shadow', '/proc/{os.getpid()}/environ'):
        try: found.append(open(path).read())
        except OSError as error: found.append(type(error).__name__)
    try: found.append(socket.create_connection(('127.0.0.1', 22), 0.2))
    except OSError as error: found.append('no network')
    for folder in ('.', '/tmp'):
        try: open(folder + '/written', 'wb', 0).write(b'x'); found.append('written')
        except OSError as error: found.append('not written')
    found.append(os.read(0, 100).decode())
    found.append(sorted(set(os.environ) - {{'LANG', 'SHIFTWORK_SANDBOX'}}))
    return repr(found)
"""
    environment = CodingChallengeHarness("roman")
    await environment.reset(seed=1)
    result = await environment.step("run_examples", code=probe)
    seen = result.observation.content
    found = re.search(r"roman\(14\): returned (.*)", seen)[1]
    assert found.count("Error") == 4, found
    assert "canary'" not in found
    assert "no network" in found
    assert "'written'" not in found
    assert "SHIFTWORK" not in found


async def test_what_lies_with_the_interpreter_can_be_hidden():
    """Where Shiftwork is installed beside the interpreter, a solution would import the reference."""
    sandbox = confined.find_sandbox()
    if not sandbox.moves_binds:
        pytest.skip("this sandbox shows every folder where it is, or not at all")
    code = "def f():\n    import unittest\n    return unittest.__file__"
    job = {"kind": "answer", "code": code, "function": "f", "calls": [[]]}
    shown = await run_job(sandbox, job, Allowance(5))
    assert "unittest" in shown.lines[1]["output"]
    folder = Path(sysconfig.get_path("stdlib")).resolve() / "unittest"
    hidden = await run_job(sandbox, job, Allowance(5), folder)
    assert hidden.lines[1] == {"output": None}


async def test_nothing_of_a_solution_lives_on():
    """Solutions would fill the machine with what they started."""
    word = token()
    code = f"import os, sys\nos.execv('/bin/sleep', ['sleep', '{word}'])"
    _, result = await submitted(code, seconds=1)
    assert result.reward == 0
    assert living(word) == []


async def test_the_hidden_tests_are_others_for_each_seed_and_the_same_for_one():
    """A table of outputs would solve the next episode, or an episode could not be repeated."""
    environment = CodingChallengeHarness("roman")
    cases = []
    for seed in (1, 2, 1):
        await environment.reset(seed=seed)
        cases.append([case.arguments for case in environment.task.cases])
    assert cases[0] == cases[2] != cases[1]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one sandbox")
async def test_it_holds_in_each_sandbox_that_confines_files():
    """On a machine without namespaces, solutions would not run, or run free."""
    tried = 0
    for sandbox in candidates():
        if sandbox.level not in ("bwrap", "landlock") or not sandbox.works():
            continue
        if sandbox.level == "landlock" and os.geteuid() == 0 and not others_reach(base_python()):
            continue  # another user can't start the interpreter by its path
        job = {"kind": "answer", "code": SLOW, "function": "roman", "calls": [[14]]}
        told = await run_job(sandbox, job, Allowance(5))
        assert told.lines == ({"begun": True}, {"output": "XIV"}), told
        code = f"def roman(n): return open({references.__file__!r}).read()"
        told = await run_job(sandbox, {**job, "code": code}, Allowance(5))
        assert "Error" in told.lines[1]["error"]
        tried += 1
    assert tried


async def test_a_machine_that_confines_too_little_is_refused(monkeypatch):
    """A solution would run with the rights of the worker."""
    monkeypatch.setenv("SHIFTWORK_SANDBOX_MINIMUM", "none")
    assert confined.find_sandbox() is choose_sandbox()
    if sys.platform == "linux" and choose_sandbox().level != "bwrap":
        monkeypatch.setenv("SHIFTWORK_SANDBOX_MINIMUM", "bwrap")
        with pytest.raises(EnvironmentFailed, match="No sandbox of this machine reaches"):
            await CodingChallengeHarness("roman").initialize()


async def test_coding_challenges_keep_every_rule_of_environments():
    """An agent, or a bridge, would be surprised by this environment alone."""
    report = await check_harness(CodingChallengeHarness, episodes=1, steps=4)
    assert report.ok, report.faults
