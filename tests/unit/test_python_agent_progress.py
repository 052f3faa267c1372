"""What a run tells of its progress while it goes on."""

import asyncio
import json

import pytest
import pytest_asyncio
from process_support import living, token

from shiftwork.agents.python.job import PythonJob
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from tests.unit.python_support import make_runner, run, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(tmp_path_factory):
    async with make_runner(tmp_path_factory.mktemp("runner")) as runner:
        yield runner


class Listener:
    """Hears of progress, and answers so."""

    def __init__(self, answers: list[bool] | None = None) -> None:
        self.heard: list[object] = []
        self._answers = answers or []

    async def __call__(self, told: object) -> bool | None:
        self.heard.append(told)
        return self._answers.pop(0) if self._answers else None


async def follow(runner, code: str, listener, **more):
    """Run code to its end, and have its progress heard."""
    return await runner.run(PythonJob(code, **{"timeout": 60, **more}), on_progress=listener)


STEPS = """
import time
for told in parameters["steps"]:
    progress(told)
    time.sleep(parameters["seconds"])
print("done")
"""


async def test_it_is_heard_while_the_run_goes_on(runner):
    """If it failed, people would see of a run of hours only its end."""
    heard, steps = Listener(), [0.5, "halfway é", {"files": [1, 2]}]
    running = asyncio.create_task(follow(runner, STEPS, heard, parameters={"steps": steps, "seconds": 2.5}))
    await until(lambda: heard.heard == steps[:2])
    assert not running.done()
    outcome = await running
    assert (outcome.status, outcome.result) == (TaskStatus.COMPLETED, "done\n")
    assert heard.heard == steps
    assert (outcome.progress, outcome.problems) == (steps[-1], ())


async def test_a_run_that_is_over_at_once_has_told_it_all_the_same(runner):
    """If it failed, the trace of a short run, or of one that fails, would lack how far it came."""
    heard = Listener()
    outcome = await follow(runner, "progress(1)\nprogress('two')\n1 / 0", heard)
    assert (outcome.progress, outcome.error_kind) == ("two", TaskErrorKind.FAILED)
    assert heard.heard == []
    assert (await run(runner, "print(1)")).progress is None
    late = await run(runner, "progress('so far'); import time; time.sleep(60)", timeout=0.5)
    assert (late.progress, late.error_kind) == ("so far", TaskErrorKind.TIMEOUT)


async def test_what_was_not_heard_is_told_again(runner):
    """If it failed, progress that could not be stored for a moment would be missing until there is more."""
    heard = Listener([False, False])
    code = "import time\nprogress(1)\ntime.sleep(4.5)"
    await follow(runner, code, heard)
    assert heard.heard == [1, 1, 1]


async def test_a_plain_function_listens(runner):
    """If it failed, whoever passes `print` would lose the outcome of the run."""
    heard = []
    outcome = await follow(runner, "import time\nprogress(1)\ntime.sleep(2.5)\nprint('done')", heard.append)
    assert (heard, outcome.result) == ([1], "done\n")


async def test_whoever_listens_badly_ends_nothing(runner):
    """If it failed, an error of the listener would cut a run off, be lost, or leave processes."""

    async def fails(_: object) -> None:
        raise KeyError("of the listener")

    word = token()
    code = f"""
import subprocess
progress(1)
subprocess.run(["sleep", "2.5"])
subprocess.Popen(["sleep", "{word}"])
"""
    with pytest.raises(KeyError, match="of the listener"):
        await follow(runner, code, fails)
    assert living(word) == []
    assert (await run(runner, "print(1)")).result == "1\n"


async def test_a_slow_listener_holds_no_limit_up(runner):
    """If it failed, a run could outlast its time while the database is away."""
    over = asyncio.Event()

    async def waits(_: object) -> None:
        await over.wait()

    word = token()
    code = f"progress(1)\nimport subprocess; subprocess.run(['sleep', '{word}'])"
    running = asyncio.create_task(follow(runner, code, waits, timeout=2.0))
    await until(lambda: bool(living(word)))
    await until(lambda: not living(word))
    over.set()
    assert (await running).error_kind is TaskErrorKind.TIMEOUT


async def test_many_calls_of_threads_and_processes(runner):
    """If it failed, progress in a loop would fail the work, or what is read could be half written."""
    code = """
import os, threading
def tell(name):
    for number in range(2_000):
        progress({"name": name, "number": number, "pad": "x" * 3_000})
threads = [threading.Thread(target=tell, args=[n]) for n in range(3)]
for one in threads: one.start()
pid = os.fork()
if pid == 0:
    tell("child"); os._exit(0)
for one in threads: one.join()
assert os.waitpid(pid, 0)[1] == 0
progress("last")
print(sorted(os.listdir(os.environ["SHIFTWORK_OUTBOX"])))
"""
    heard = Listener()
    outcome = await follow(runner, code, heard)
    assert (outcome.error, outcome.result) == ("", "['progress.json']\n")
    assert outcome.progress == "last"
    assert all(set(told) == {"name", "number", "pad"} for told in heard.heard if told != "last")


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ("None", "TypeError: progress is a text, a number or what else JSON knows, not None"),
        ("{1}", "TypeError: Object of type set is not JSON serializable"),
        ("float('nan')", "ValueError: Out of range float values are not JSON compliant: nan"),
        ("'x' * 4_095", "ValueError: the progress takes 4,097 bytes, and may take 4,096"),
    ],
)
async def test_what_is_no_progress_is_refused(runner, told, error):
    """If it failed, a slip of the pen would be passed over in silence."""
    outcome = await run(runner, f"progress(1)\nprogress({told})")
    assert outcome.error.startswith(error.removesuffix(": nan"))
    assert "shiftwork" not in outcome.stderr
    assert outcome.progress == 1


async def test_what_can_not_be_written_is_passed_over(runner):
    """If it failed, a run of hours would be lost because nobody could be told how far it was."""
    code = """
import os
os.mkdir(os.environ["SHIFTWORK_OUTBOX"] + "/progress.json")
progress(1)
print(os.listdir(os.environ["SHIFTWORK_OUTBOX"]))
"""
    outcome = await run(runner, code)
    assert (outcome.error, outcome.progress) == ("", None)
    assert outcome.result == "['progress.json']\n"
    assert outcome.problems == ("progress.json: is not a regular file",)


async def test_a_call_in_the_middle_of_another(runner):
    """If it failed, progress that a handler of signals tells could leave a mixture that nobody can read."""
    code = """
import os, sys
outbox = os.environ["SHIFTWORK_OUTBOX"]
def step(frame, event, _):
    if "progress.json" not in os.listdir(outbox) and os.listdir(outbox):  # it is just being written
        progress("of the handler, which is longer")
    return step
sys.settrace(step)
progress("of the code")
sys.settrace(None)
print(os.listdir(outbox))
"""
    outcome = await run(runner, code)
    assert (outcome.error, outcome.result) == ("", "['progress.json']\n")
    assert (outcome.progress, outcome.problems) == ("of the code", ())


async def test_code_that_changes_its_environment(runner):
    """If it failed, code that cleans its environment for programs could tell and hand over nothing more."""
    code = "import os\nos.environ.clear()\nprogress(1)\nsave_handoff(state={'a': 1})"
    outcome = await run(runner, code)
    assert (outcome.error, outcome.progress) == ("", 1)
    assert outcome.handoff is not None


async def test_the_name_of_a_file_that_is_no_text(runner):
    """If it failed, a run could end because it tells of a file that it can print the name of."""
    outcome = await run(
        runner, r"name = b'a\xff'.decode('utf-8', 'surrogateescape'); print(name); progress(name)"
    )
    assert (outcome.error, outcome.progress) == ("", "a?")


HOSTILE = {
    "a link": ("os.symlink('/etc/hostname', path)", "can't be opened"),
    "a link to nothing": ("os.symlink('/no/such', path)", "can't be opened"),
    "a pipe that nobody writes to": ("os.mkfifo(path)", "is not a regular file"),
    "a folder": ("os.mkdir(path)", "is not a regular file"),
    "a file without end": ("open(path, 'wb').truncate(10**9)", "is larger than 4,096 bytes"),
    "no JSON": ("open(path, 'w').write('halfway')", "is not JSON"),
    "nothing": ("open(path, 'w')", "is not JSON"),
    "no text": ("open(path, 'wb').write(bytes([0xff]))", "is not UTF-8"),
    "no number": ("open(path, 'w').write('1e999')", "is not JSON"),
    "much too deep": ("open(path, 'w').write('[' * 2000 + ']' * 2000)", "is nested deeper than 40 levels"),
    "two values": ("open(path, 'w').write('{\"a\": 1, \"a\": 2}')", "appears twice"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_file_that_means_harm(runner, name):
    """If it failed, a run could have its worker read what it may not, wait for ever, or fill its memory."""
    leave, says = HOSTILE[name]
    code = (
        f"import os, time\npath = os.environ['SHIFTWORK_OUTBOX'] + '/progress.json'\n{leave}\ntime.sleep(1.5)"
    )
    heard = Listener()
    outcome = await follow(runner, code, heard)
    assert outcome.status is TaskStatus.COMPLETED, outcome.error
    assert heard.heard == []
    assert outcome.progress is None
    assert [says in problem for problem in outcome.problems] == [True], outcome.problems


async def test_as_much_as_may_be_told(runner):
    """If it failed, what is accepted of the code could be refused later, or could not be read any more."""
    outcome = await run(runner, "progress(int('9' * 4_096))")
    assert (outcome.progress, outcome.problems) == (int("9" * 4_096), ())


async def test_control_characters_do_not_reach_a_terminal(runner):
    """If it failed, an agent could act on the terminal of whoever watches it."""
    outcome = await run(runner, r"progress('\x1b[2J\x00red\u202e')")
    assert "\x1b" not in json.dumps(outcome.progress, ensure_ascii=False)
    assert "\x00" not in str(outcome.progress)
    assert "red" in str(outcome.progress)
