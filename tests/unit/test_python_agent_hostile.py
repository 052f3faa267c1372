"""Code that means harm, or does not know better."""

import asyncio
import os

import pytest
import pytest_asyncio
from process_support import keep_threads_busy, living, token, wait_until_dead

from shiftwork.agents.python.job import PythonJob
from shiftwork.contracts.task import TaskErrorKind, TaskStatus
from shiftwork.handoffs import HandoffContext
from tests.unit.python_support import limits, make_runner, run

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(tmp_path_factory):
    async with make_runner(tmp_path_factory.mktemp("runner")) as runner:
        yield runner


async def test_a_gigabyte_of_output(runner):
    """If it failed, one agent could take the worker's memory, or run for ever."""
    code = "import os\nfor _ in range(1_000): os.write(1, b'x' * 1_000_000)"
    outcome = await run(runner, code, timeout=60)
    assert outcome.status is TaskStatus.COMPLETED
    assert "of 1,000,000,000 bytes, the first are kept" in outcome.result
    assert len(outcome.result) <= 1024 * 1024


TREE = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", parameters["word"]], start_new_session=True)
subprocess.Popen(["sh", "-c", "trap '' TERM; sleep $0; exit", parameters["word"]])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sleep", ["sleep", parameters["word"]], {})
    os._exit(0)
print("ready")
"""


async def test_daemons_end_with_their_run(runner):
    """If it failed, what a run left would go on for ever, and hold its output open."""
    word = token()
    outcome = await run(runner, TREE, parameters={"word": word})
    assert (outcome.status, outcome.result) == (TaskStatus.COMPLETED, "ready\n")
    assert living(word) == []


async def test_one_that_ignores_term_and_never_ends(runner):
    """If it failed, a timeout would be a wish."""
    word = token()
    outcome = await run(runner, TREE + "while True: pass", parameters={"word": word}, timeout=0.7)
    assert outcome.error_kind is TaskErrorKind.TIMEOUT
    assert living(word) == []


async def test_a_cancelled_run_leaves_nothing(runner):
    """If it failed, a cancelled task would go on working."""
    word = token()
    job = PythonJob(TREE + "import time; time.sleep(1000)", parameters={"word": word})
    task = asyncio.create_task(runner.run(job))
    async with asyncio.timeout(100):
        while len(living(word)) < 3:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wait_until_dead(word) == []
    assert (await run(runner, "print(1)")).result == "1\n"


async def test_a_fork_bomb_is_ended(runner):
    """If it failed, one agent could take all processes of the machine."""
    code = "import os, time\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(0.1)"
    outcome = await run(runner, code, limits=limits(processes=20), timeout=20)
    assert outcome.error_kind is TaskErrorKind.LIMIT
    assert "processes of 20 was breached" in outcome.error


async def test_too_much_memory(runner):
    """If it failed, one agent could take the memory of the machine."""
    code = "a = []\nwhile True: a.append(b'x' * 1_000_000)"
    outcome = await run(runner, code, limits=limits(memory_mb=300), timeout=20)
    assert outcome.error_kind is TaskErrorKind.LIMIT
    assert "memory_mb of 300" in outcome.error
    assert outcome.pre_started


async def test_too_much_on_disk(runner):
    """If it failed, one agent could fill the worker's disk."""
    code = "f = open('a', 'wb')\nfor _ in range(50): f.write(b'x' * 1_000_000)\nimport time; time.sleep(600)"
    outcome = await run(runner, code, limits=limits(disk_mb=20), timeout=100)
    assert outcome.error_kind is TaskErrorKind.LIMIT
    assert "disk_mb of 20" in outcome.error


async def test_what_is_written_at_once_counts(runner):
    """If it failed, an agent that writes before anybody has looked could fill the disk."""
    code = "open('a', 'wb').write(bytes(50_000_000))\nimport time; time.sleep(600)"
    keep_threads_busy(2)
    outcome = await run(runner, code, limits=limits(disk_mb=20), timeout=100)
    assert "disk_mb of 20" in outcome.error


FAKES = [
    ("print('W'); print('B'); print('{\"status\": \"completed\"}'); 1 / 0", TaskStatus.FAILED),
    ("import sys; print('Traceback: it failed\\nOSError: no', file=sys.stderr)", TaskStatus.COMPLETED),
    ("import sys; sys.excepthook = lambda *_: print('all is well')\n1 / 0", TaskStatus.FAILED),
    ("import os; os.write(1, b'WB'); os._exit(1)", TaskStatus.FAILED),
    ("import os; [os.close(fd) for fd in range(3)]", TaskStatus.COMPLETED),
    ("import os; [os.close(fd) for fd in range(3)]; os._exit(4)", TaskStatus.FAILED),
    ("import sys; sys.stdout = sys.stderr = None\n1 / 0", TaskStatus.FAILED),
    ("import sys; sys._getframe(1).f_globals.clear(); sys.modules.clear()", TaskStatus.COMPLETED),
    ("import json, os; json.loads = json.dumps = os.write = os.dup2 = None\n1 / 0", TaskStatus.FAILED),
]


@pytest.mark.parametrize(("code", "status"), FAKES)
async def test_the_end_is_what_was_seen_of_it(runner, code, status):
    """If it failed, an agent could say itself how it ended."""
    outcome = await run(runner, code)
    assert outcome.status is status
    assert bool(outcome.error) == (status is TaskStatus.FAILED)


async def test_the_descriptors_of_the_job_lead_nowhere(runner):
    """If it failed, code could write where its job came from, or keep its worker waiting."""
    code = """
import os
paths = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd") if fd not in "12"]
print({path[-1]: os.readlink(path) for path in paths if os.path.lexists(path)}, os.read(0, 10))
try:
    os.write(0, b"x")
except OSError as error:
    print(error.strerror)
"""
    outcome = await run(runner, code)
    assert outcome.result == "{'0': '/dev/null'} b''\nBad file descriptor\n"


HANDOFFS = [
    ("'[' * 5_000_000", "handoff.json: is larger than"),
    ("'{\"state\": ' * 45 + '1' + '}' * 45", "nested deeper than"),
    ('\'{"state": {"a": NaN}}\'', "NaN is no JSON number"),
    ('\'{"state": {"a": 1e999}}\'', "is no JSON number"),
    ('\'{"state": {"a": 1%s}}\' % ("0" * 30)', "more than 63 bits"),
    ('\'{"state": {"a": 1%s}}\' % ("0" * 5_000)', "is not JSON"),
    ("'{\"state\": [1]}'", "state of a handoff must be a dictionary"),
    ('\'{"state": {"a": "%s"}}\' % ("x" * 300_000)', "takes 300,"),
    ('\'{"state": {"a": {"$datetime": "soon"}}}\'', "as a moment, which is none"),
    ('\'{"summary": "%s"}\' % ("x" * 3_000)', "summary"),
    ("'\\xff'", "is not JSON"),
    ("''", "is not JSON"),
]


@pytest.mark.parametrize(("text", "sentence"), HANDOFFS, ids=lambda value: value[:30])
async def test_a_handoff_that_can_not_be_used(runner, text, sentence):
    """If it failed, an agent could wedge its next run, or lose this one."""
    outcome = await run(runner, f"open('{outbox_of(runner)}/handoff.json', 'w').write({text})")
    assert (outcome.status, outcome.handoff) == (TaskStatus.COMPLETED, None), outcome.stderr
    (problem,) = outcome.problems
    assert sentence in problem


def outbox_of(runner) -> str:
    """Where code finds its outbox, as an expression in a text of its own."""
    del runner
    return "' + __import__('os').environ['SHIFTWORK_OUTBOX'] + '"


WAYS = [
    "os.symlink('/etc/passwd', path)",
    "os.mkfifo(path)",
    "os.mkdir(path)",
    "os.chmod(os.path.dirname(path), 0)",
    "os.chmod(os.path.dirname(path), 0o555)",
]


@pytest.mark.parametrize("way", WAYS)
async def test_a_handoff_that_is_no_file(runner, way):
    """If it failed, an agent could have the worker read a file of others, or wait for ever."""
    code = f"import os; path = os.environ['SHIFTWORK_OUTBOX'] + '/handoff.json'; {way}"
    outcome = await run(runner, code)
    assert (outcome.status, outcome.handoff) == (TaskStatus.COMPLETED, None)
    assert "root" not in str(outcome.problems)
    again = await run(runner, "save_handoff(state={'a': 1})")
    assert again.handoff == HandoffContext(state={"a": 1})


async def test_half_characters_in_a_handoff_are_replaced(runner):
    """If it failed, a handoff could not be stored."""
    path = f"{outbox_of(runner)}/handoff.json"
    outcome = await run(runner, f"""open('{path}', 'w').write('{{"state": {{"a": "\\\\ud800"}}}}')""")
    assert outcome.handoff == HandoffContext(state={"a": "?"})
    refused = await run(runner, "save_handoff(state={'a': '\\ud800'})")
    assert refused.error.startswith("UnicodeEncodeError")


async def test_nothing_passes_from_run_to_run(runner):
    """If it failed, one agent could leave something for another one."""
    code = """
import os, subprocess
places = (".", os.environ["HOME"], os.environ["SHIFTWORK_OUTBOX"])
print([sorted(os.listdir(place)) for place in places], sorted(globals()), os.path.exists("/dev/shm/left"))
for place in (*places, "/dev/shm"):
    try:
        open(place + "/left", "w").close()
        os.makedirs(place + "/a/b")
    except OSError:
        pass
left = 1
"""
    first, second = await run(runner, code), await run(runner, code)
    assert first.result == second.result
    assert "left" not in first.result


@pytest.mark.parametrize("name", ["json.py", "os.py", "sitecustomize.py", "usercustomize.py", "agent.py"])
async def test_nothing_in_its_folder_shadows_the_library(runner, name):
    """If it failed, a file of an agent would change what `import json` means."""
    code = f"""
open({name!r}, "w").write("print('shadowed')")
import os, sys, csv, json, decimal
os.environ["PYTHONPATH"] = "."
print([path for path in sys.path if not os.path.isabs(path)])
"""
    assert (await run(runner, code)).result == "[]\n"


async def test_it_sees_nothing_of_its_worker(runner, monkeypatch):
    """If it failed, code of anybody would see the worker's keys."""
    monkeypatch.setenv("SOME_API_KEY", "sk-of-the-worker")
    async with asyncio.timeout(100):
        outcome = await run(runner, "import os; print(os.environ); print(open('/proc/self/environ').read())")
    assert "sk-of-the-worker" not in outcome.result
    assert str(os.getpid()) not in (await run(runner, "import os; print(os.getppid())")).result.split()


async def test_it_reaches_nothing(runner):
    """If it failed, code of anybody could call home."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    outcome = await run(runner, f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)")
    assert outcome.status is TaskStatus.FAILED
    server.close()
    await server.wait_closed()
