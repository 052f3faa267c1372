"""How a `python` agent's code ends: as in any interpreter, though ours does not take itself apart."""

import asyncio
import subprocess

import pytest
import pytest_asyncio

from shiftwork.runner.environment import base_python
from tests.unit.python_support import make_runner, run

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAYS = """
class Says:
    def __init__(self, word):
        self.word = word
    def __del__(self):
        print(self.word, len(os.sep), end=".", flush=False)
"""
OWN = f"import os\n{SAYS}\nkept = Says('of a module')"

ENDS = {
    "a file that is not closed": "import os; file = os.fdopen(os.dup(1), 'w'); file.write('late')",
    "one of another module's": "import json, os; json.own = open(os.dup(1), 'w'); json.own.write('late')",
    "one of a class": "import os\nclass Log: file = open(os.dup(1), 'w')\nLog.file.write('late')",
    "one that a function keeps": """
import os
def told(file=open(os.dup(1), "w")):
    file.write("late")
told()
""",
    "one that an exception shows": """
import os
def fail():
    file = open(os.dup(1), "w")
    file.write("late")
    raise ValueError(file)
try:
    fail()
except ValueError as error:
    kept = error
""",
    "one that is not looked at": """
import gc, os, sys
sys.own = open(os.dup(1), "w")
sys.own.write("late")
gc.freeze()
""",
    "one after what was printed": """
import os, sys
file = open(os.dup(1), "w")
file.write("late")
sys.stdout.write("soon, ")
""",
    "an object that the library holds": 'import json; json.own = type("Says", (), {"__del__": print})()',
    "a stream that the library holds": """
import io, json, os
apart = {"write": os.write, "io": io}
exec("class Own(io.RawIOBase):\\n  def close(self): write(1, b'closed')", apart)
json.own = apart.pop("Own")()
""",
    "an object": f"import os\n{SAYS}\nkept = Says('x')",
    "a cycle": f"import os\n{SAYS}\nkept = Says('x'); kept.own = kept; del kept",
    "what a handler of signals holds": f"""
import os, signal
{SAYS}
kept = Says("x")
signal.signal(signal.SIGTERM, lambda *_: kept)
""",
    "who is told of garbage": "import gc; gc.callbacks.append(lambda phase, _: print(phase))",
    "a generator": """
def steps():
    try:
        yield
    finally:
        print("closed")
begun = steps()
next(begun)
""",
    "a module of its own": f"""
import sys, tempfile
with tempfile.TemporaryDirectory() as folder:
    sys.path.insert(0, folder)
    with open(folder + "/own.py", "w") as file:
        file.write({OWN!r})
    import own
""",
    "what C has not written": "import ctypes; ctypes.CDLL(None).printf(b'late')",
    "what is registered": """
import atexit, tempfile, weakref
atexit.register(print, "registered first, called last")
atexit.register(lambda: 1 / 0)
folder = tempfile.TemporaryDirectory()
weakref.finalize(folder, print, "the folder goes")
""",
    "an object after what is registered": """
import atexit
kept = type("Says", (), {"__del__": print})()  # a line, without the names of the code
atexit.register(print, "registered")
""",
    "threads": """
import threading, time
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
threading.Thread(target=lambda: (time.sleep(0.3), print("waited for"))).start()
print("main is over")
""",
    "a child of a fork": """
import os, sys
kept = open(os.dup(1), "w")
if not os.fork():
    print("the child")
else:
    os.wait()
    print("the parent")
""",
    "another standard output": """
import io, sys
sys.stdout.write("before, ")
sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False))
sys.stdout.write("after")
""",
    "a standard output of its own": """
import sys
class Own:
    closed = False
    def write(self, text): return len(text)
    def flush(self, tell=sys.__stdout__.write): tell("flushed, ")
sys.stdout = Own()
""",
    "output that nobody takes": """
import os, sys
sys.stdout.reconfigure(line_buffering=False)
os.close(1)
sys.stdout.write("x")
""",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(tmp_path_factory):
    async with make_runner(tmp_path_factory.mktemp("runner")) as runner:
        yield runner


@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
async def test_code_ends_as_by_any_interpreter(runner, code):
    """If it failed, what code leaves to its end would not happen, or a failure there would be a success."""
    argv = [str(base_python()), "-I", "-X", "utf8", "-c", code]
    expected = await asyncio.to_thread(subprocess.run, argv, stdout=subprocess.PIPE, check=False, timeout=100)
    outcome = await run(runner, code)
    assert outcome.result == expected.stdout.decode()
    assert outcome.exit.code == expected.returncode


async def test_simple_code_does_not_take_its_interpreter_apart(runner):
    """If it failed, every run would wait for that, which takes longer than most code."""
    tells = "import functools, os; os._exit = functools.partial(print, 'at once with')"
    for code in ("", "class Own:\n  def done(self): pass\nown = Own()\n"):
        assert (await run(runner, f"{code}{tells}")).result == "at once with 0\n"
    for of_c in ("ctypes", "sqlite3"):
        assert (await run(runner, f"import {of_c}; {tells}")).result == ""
