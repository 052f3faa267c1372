"""Reading the documents: their links, tables and the blocks of code that tests execute.

A block is executed when a comment stands on the line before its fence:

    <!-- test: NAME -->      the code joins the script NAME of this document
    <!-- output: NAME -->    lines that the script prints, in this order; `…` stands for anything

The script `setup` of a document is executed before its others.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.md")])

_BLOCK = re.compile(r"^<!-- (test|output): ([\w-]+) -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(slots=True)
class Script:
    """What the blocks of one name in one document amount to."""

    document: Path
    name: str
    language: str = ""
    code: str = ""
    output: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """How a test calls it."""
        return f"{self.document.stem}-{self.name}"


def scripts(*documents: str) -> list[Script]:
    """The scripts of these documents (names relative to the root), or of all."""
    found: dict[tuple[Path, str], Script] = {}
    for path in [ROOT / name for name in documents] or DOCS:
        for what, name, language, text in _BLOCK.findall(path.read_text()):
            script = found.setdefault((path, name), Script(path, name))
            if what == "output":
                script.output += text.splitlines()
            else:
                script.language = script.language or language
                assert script.language == language, f"{script.title} is written in two languages"
                script.code += text
    return list(found.values())


def missing_output(script: Script, printed: str) -> str | None:
    """The first promised line that is not printed after the one before it; None if all are."""
    lines = iter(printed.splitlines())
    for promised in script.output:
        pattern = re.compile(".*".join(map(re.escape, promised.rstrip().split("…"))))
        if not any(pattern.fullmatch(line.rstrip()) for line in lines):
            return promised
    return None


def links(path: Path) -> Iterator[str]:
    """Where a document's links lead, except out of the repository."""
    for target in _LINK.findall(_FENCED.sub("", path.read_text())):
        if not target.startswith(("http://", "https://", "mailto:")):
            yield target


def anchors(path: Path) -> set[str]:
    """The names of a document's headings, as a link spells them."""
    headings = _HEADING.findall(_FENCED.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(path: Path, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head; code marks are taken off."""
    _, found, text = path.read_text().partition(f"\n## {heading}\n")
    assert found, f"{path.name} has no section {heading!r}"
    rows = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert rows, f"section {heading!r} of {path.name} has no table"
    split = [
        [cell.strip().strip("`").replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in rows.group().splitlines()
    ]
    return split[2:]
