"""What an agent's process imports of the SDKs, and that nothing of them is missing."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

FILES = {
    "__init__.py": "from .a import One, Two as Deux\nfrom .b import One as Other\n",
    "a.py": "class One: ...\nclass Two: ...\n",
    "b.py": "from .a import One\n",
    "whole/__init__.py": "from .c import Three\ndef make(): return Three()\n",
    "whole/c.py": "class Three: ...\n",
    "chosen/__init__.py": "from .j import Four, Five\n__all__ = ['Four']\n",
    "chosen/j.py": "class Four: ...\nclass Five: ...\n",
    "hides/__init__.py": "from .d import d\n",
    "hides/d.py": "def d(): return 'a function'\n",
    "offers/__init__.py": "from . import e\nfrom .f import g\n",
    "offers/e.py": "",
    "offers/f/__init__.py": "",
    "offers/f/g.py": "",
    "used/__init__.py": "from .h import NUMBER\nfrom .i import Late\nTWICE = 2 * NUMBER\ndef f(): ...\n",
    "used/h.py": "NUMBER = 21\n",
    "used/i.py": "class Late: ...\n",
}
"""A distribution with packages of every kind."""


def played(code: str, folder: Path) -> str:
    """What a process of its own prints, to which packages gather late."""
    start = f"""
        import sys
        from shiftwork.agents.langchain.program.gathering import gather_late
        sys.path.insert(0, {str(folder)!r})
        gather_late({{"mine"}}, {{"mine.used": {{"i"}}}})
        def loaded(): return sorted(name for name in sys.modules if name.startswith("mine."))
    """
    argv = [sys.executable, "-c", textwrap.dedent(start) + textwrap.dedent(code)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_a_module_is_imported_when_its_name_is_asked_for(folder: Path) -> None:
    """If it failed, each session would begin with seconds of imports of what it never uses."""
    printed = played(
        """
        import mine
        assert loaded() == []
        assert {"One", "Deux", "Other"} <= set(dir(mine))
        assert mine.Deux.__name__ == "Two"
        assert loaded() == ["mine.a"]
        from mine import Other
        assert Other is mine.One and loaded() == ["mine.a", "mine.b"]
        print("all")
        """,
        folder,
    )
    assert printed == "all\n"


@pytest.mark.parametrize(
    "code",
    [
        "from mine import *; assert One.__name__ == 'One' and Deux.__name__ == 'Two'",
        "from mine.chosen import *; assert Four.__name__ == 'Four' and 'Five' not in globals()",
        "import mine; assert not hasattr(mine, 'none')",
        "import mine; assert mine.b.One is mine.One",
        "import mine.used; assert mine.used.i.Late is mine.used.Late",
        "import mine.whole; assert type(mine.whole.make()).__name__ == 'Three'",
        "import mine.hides; import mine.hides.d; assert mine.hides.d() == 'a function'",
        "import mine.offers; assert mine.offers.e.__name__ == 'mine.offers.e'",
        "from mine.offers import g; assert g.__name__ == 'mine.offers.f.g'",
        "import mine.used; assert mine.used.TWICE == 42 and 'mine.used.i' not in loaded()",
        "import mine.used; assert mine.used.Late.__module__ == 'mine.used.i'",
        "import mine.a, pickle; assert pickle.loads(pickle.dumps(mine.One)) is mine.a.One",
    ],
)
def test_a_package_is_what_it_always_was(code: str, folder: Path) -> None:
    """If it failed, a package would break that works everywhere else."""
    played(code, folder)


LISTED = """
import gc, importlib, json, sys, warnings
gc.disable()
warnings.simplefilter("ignore")
if {late}:
    from shiftwork.agents.langchain.program.gathering import gather_late
    gather_late()
found = {{}}
for name in ("anthropic", "anthropic.types", "openai", "openai.types", "deepagents"):
    package = importlib.import_module(name)
    if not found and {late}:
        few = sum(module.startswith("anthropic.") for module in sys.modules)
    for each in dir(package):
        if not each.startswith("_") and type(package).__name__ == "module":
            what = getattr(package, each)
            told = getattr(what, "__module__", ""), getattr(what, "__qualname__", type(what).__name__)
            found[name + ":" + each] = [str(part) for part in told]
print(json.dumps([found, few if {late} else 0, sum(m.startswith("anthropic.") for m in sys.modules)]))
"""


def test_nothing_of_the_sdks_is_missing() -> None:
    """If it failed, somebody's model would find less in its provider's package than there is."""
    told = []
    for late in (False, True):
        argv = [sys.executable, "-c", LISTED.format(late=late)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=250, check=True)
        told.append(json.loads(done.stdout))
    (plain, _, of_all), (late, few, _) = told
    missing = {name: what for name, what in plain.items() if late.get(name) != what}
    # Modules that others had imported by the way are attributes of their package, and no promise of it.
    assert {name: what for name, what in missing.items() if what[1] != "module"} == {}
    assert few < of_all / 2
