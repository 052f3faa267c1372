"""Which requests are long-running tasks."""

import tomllib
from pathlib import Path

import pytest

from shiftwork.analysis import THRESHOLD, TaskType, analyze_task, listed, should_use_harness
from shiftwork.errors import InvalidInput

CHAT = """Build a real-time chat application with:
- User authentication
- Public and private channels
- Direct messaging
- Message history and search
- File sharing
"""

LONG = [
    (CHAT, TaskType.CODING_PROJECT),
    (
        "Implement a REST API with authentication, a database, tests and documentation.",
        TaskType.CODING_PROJECT,
    ),
    (
        "Build a command line tool for managing bookmarks with import, export, search and tests",
        TaskType.CODING_PROJECT,
    ),
    (
        "Rewrite our entire backend from Flask to FastAPI, keeping every endpoint and its tests",
        TaskType.CODING_PROJECT,
    ),
    ("Create a multiplayer game server with matchmaking, chat, and leaderboards", TaskType.CODING_PROJECT),
    (
        "Write a compiler for a small language from scratch, with a parser, a type checker and docs",
        TaskType.CODING_PROJECT,
    ),
    ("Research 5 papers on durable execution and write a comprehensive report", TaskType.MULTI_RESEARCH),
    (
        "Research several competitors, their pricing, and their APIs, then write reports",
        TaskType.MULTI_RESEARCH,
    ),
    (
        "Analyze and compare the performance, security and cost of three cloud providers in depth",
        TaskType.COMPLEX_ANALYSIS,
    ),
    (
        "Migrate the whole codebase to Python 3.12, update all tests, and refresh the documentation",
        TaskType.CODING_PROJECT,
    ),
    (
        "First set up the database schema, then build the import pipeline, after that add a dashboard",
        TaskType.CODING_PROJECT,
    ),
    ("Implement 12 endpoints for the inventory service", TaskType.CODING_PROJECT),
    ("1. Add login\n2. Add search\n3. Add exports\n4. Write tests for everything", TaskType.CODING_PROJECT),
    (
        "1. Sort the letters\n2. Tag each by year\n3. List the senders\n4. Finally index all of them",
        TaskType.MULTI_STEP,
    ),
    ("Build me a full-stack web shop", TaskType.CODING_PROJECT),
]

SHORT = [
    "",
    "hi",
    "What is the capital of France?",
    "How do I reverse a list in Python?",
    "Explain this function",
    "Fix the typo in the README",
    "Write a haiku about autumn, wind, and rain",
    "Rename the variable x to count",
    "Write a function that adds two numbers",
    "What are the differences between TCP, UDP and QUIC?",
    "Translate this paragraph into German, French and Italian",
    "Summarize this email",
    "Why does this query take so long?",
    "Create a regex for phone numbers",
    "Can you explain how a database index works?",
    "Thanks, that works",
    "Just add a test for this function",
    "Is it better to build an app or a website?",
    "Review this sentence",
]


TABLE = tomllib.loads(Path(__file__).with_name("requests_to_weigh.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("prompt", TABLE["long"])
def test_what_is_to_be_built_is_worth_a_project(prompt: str) -> None:
    """Software that is asked for in a few words would be squeezed into one answer."""
    assert analyze_task(prompt).should_use_harness, analyze_task(prompt)


@pytest.mark.parametrize("prompt", TABLE["short"])
def test_talk_texts_and_questions_are_answered(prompt: str) -> None:
    """A letter, a thank-you or a question would become a project, and be paid for as one."""
    assert not analyze_task(prompt).should_use_harness, analyze_task(prompt)


@pytest.mark.parametrize(("prompt", "kind"), LONG)
def test_long_tasks_are_seen(prompt: str, kind: TaskType) -> None:
    """A project squeezed into one answer ends half-done."""
    use, analysis = should_use_harness(prompt)
    assert use, analyze_task(prompt)
    assert analysis is not None
    assert (analysis.task_type, analysis.confidence >= THRESHOLD) == (kind, True)
    assert analysis.reason


@pytest.mark.parametrize("prompt", SHORT)
def test_short_tasks_are_answered(prompt: str) -> None:
    """A question that becomes a project costs minutes and money for a sentence."""
    assert should_use_harness(prompt) == (False, None), analyze_task(prompt)
    assert analyze_task(prompt).task_type is TaskType.SIMPLE


def test_listed_parts_are_found() -> None:
    """What a person lists must reach the plan as they listed it."""
    assert listed(CHAT)[:2] == ("User authentication", "Public and private channels")
    assert len(listed(CHAT)) == 5
    assert listed("Write about rust, go, and zig.") == ("Write about rust", "go", "zig")
    assert listed("Fix it.") == ()


def test_the_threshold_is_the_callers() -> None:
    """Whoever pays decides what is worth a project."""
    prompt = "Build a chat app"
    confidence = analyze_task(prompt).confidence
    assert analyze_task(prompt, threshold=confidence).should_use_harness
    assert not analyze_task(prompt, threshold=confidence + 0.01).should_use_harness


@pytest.mark.parametrize(
    "prompt", ["a, " * 100_000, "- x\n" * 100_000, "first " * 100_000, "build " * 50_000 + "app"]
)
def test_hostile_text_is_no_trouble(prompt: str) -> None:
    """A request of a megabyte must be weighed like any other."""
    assert len(analyze_task(prompt).detected_items) <= 20


@pytest.mark.parametrize("given", [-1, 2, float("nan"), "0.5", None, True])
def test_a_threshold_that_is_none_is_refused(given):
    """If it failed, nothing or everything would be a long task, or Python's own words would tell why."""
    for look in (analyze_task, should_use_harness):
        with pytest.raises(InvalidInput, match=r"^threshold is .*; give a number from 0 to 1\.$"):
            look("hi", given)
