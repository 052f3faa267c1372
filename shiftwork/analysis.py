"""Whether a task is long-running: worth a project of its own, or answered at once.

Signals in the words of a request, each with a weight, are combined as independent pieces of evidence
(1 − ∏(1 − weight)); what asks for an answer or for little takes from that. No model is asked.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import prod

from shiftwork.errors import InvalidInput
from shiftwork.wanted import Thing, Wanted, wanted

THRESHOLD = 0.6
"""From this confidence on, a task is long-running."""

_READ_CHARACTERS = 20_000
"""How much of a request is looked at: what it is shows in its beginning."""

_MOST_ITEMS = 20
_BUILT = 0.62
"""The weight of software that is to be made: enough by itself."""
_MADE = 0.5
"""The weight of something that is to be made for software."""

_LONG_WORDS, _VERY_LONG_WORDS = 80, 250


class TaskType(StrEnum):
    """What kind of task a request is."""

    SIMPLE = "simple"
    MULTI_RESEARCH = "multi_research"
    CODING_PROJECT = "coding_project"
    MULTI_STEP = "multi_step"
    COMPLEX_ANALYSIS = "complex_analysis"


@dataclass(frozen=True, slots=True)
class TaskAnalysis:
    """What a request looks like.

    Attributes:
        should_use_harness: it is long-running.
        detected_items: the parts that it lists, in its own words.
        confidence: that it is long-running, from 0 to 1.
        reason: what speaks for that, or against it.
    """

    task_type: TaskType
    should_use_harness: bool
    detected_items: tuple[str, ...]
    confidence: float
    reason: str


@dataclass(frozen=True, slots=True)
class _Signal:
    weight: float
    reason: str
    kind: TaskType | None = None


def analyze_task(prompt: str, threshold: float = THRESHOLD) -> TaskAnalysis:
    """Say how likely it is that this request is a long-running task.

    Args:
        threshold: the confidence from which on it counts as one.

    Raises:
        InvalidInput: the request is no text, or the threshold no number from 0 to 1.
    """
    check_threshold(threshold)
    if not isinstance(prompt, str):
        raise InvalidInput(
            f"prompt is an object of type {type(prompt).__name__!r}; give the request as a text."
        )
    prompt = prompt[:_READ_CHARACTERS]
    text = " ".join(prompt.lower().split())
    items = listed(prompt)
    asked = wanted(prompt.lower())
    signals = [
        *_by_length(text),
        *_by_items(items),
        *_by_things(asked, text),
        *(signal for look in _LOOKS for signal in look(text)),
    ]
    lightness = _lightness(text, asked)
    confidence = round((1 - prod(1 - signal.weight for signal in signals)) * lightness, 2)
    if confidence < threshold:
        why = (
            "asks for little" if signals and lightness < 1 else "nothing in it asks for more than one sitting"
        )
        return TaskAnalysis(
            TaskType.SIMPLE, should_use_harness=False, detected_items=items, confidence=confidence, reason=why
        )
    reason = "; ".join(signal.reason for signal in sorted(signals, key=lambda s: -s.weight))
    return TaskAnalysis(
        _kind(signals), should_use_harness=True, detected_items=items, confidence=confidence, reason=reason
    )


def check_threshold(given: object) -> float:
    """The threshold, if it is one.

    Raises:
        InvalidInput: it is no number from 0 to 1.
    """
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given <= 1:
        return given
    said = repr(given) if isinstance(given, float | int) else f"an object of type {type(given).__name__!r}"
    raise InvalidInput(f"threshold is {said}; give a number from 0 to 1.")


def should_use_harness(prompt: str, threshold: float = THRESHOLD) -> tuple[bool, TaskAnalysis | None]:
    """Whether a project should do this, and the analysis if so."""
    analysis = analyze_task(prompt, threshold)
    return (True, analysis) if analysis.should_use_harness else (False, None)


def listed(prompt: str) -> tuple[str, ...]:
    """The parts that a request lists: lines with bullets or numbers, else what commas separate."""
    lines = [match[1].strip() for match in _BULLET.finditer(prompt)]
    if len(lines) >= 2:
        return tuple(lines[:_MOST_ITEMS])
    for sentence in re.split(r"[.!?\n]", prompt):
        parts = re.split(r",\s*(?:and\s+|or\s+)?|\s+and\s+", sentence.rpartition(":")[2])
        parts = [part.strip() for part in parts if len(part.strip()) > 1]
        if len(parts) >= 3 and sentence.count(",") >= 1:
            first = parts[0].split()
            return tuple([" ".join(first[-4:]), *parts[1:]][:_MOST_ITEMS])
    return ()


_BULLET = re.compile(r"^[ \t]*(?:[-*•]|\d{1,3}[.)])[ \t]+(\S.*)$", re.MULTILINE)


def _any(words: str) -> re.Pattern[str]:
    """A pattern for any of these words or phrases, which commas separate."""
    return re.compile(rf"\b(?:{'|'.join(word.strip() for word in words.split(','))})\b")


_SOFTWARE = _any(
    "app, application, api, service, microservice, server, website, web site, platform, system, game, "
    "library, framework, compiler, interpreter, database, engine, dashboard, backend, frontend, client, bot, "
    "plugin, extension, cli, tool, package, shop, store, pipeline, simulator, editor, prototype, product, "
    "codebase, project"
)
_COUNTED = re.compile(
    r"\b(?P<count>\d{1,4}|two|three|four|five|six|seven|eight|nine|ten|twelve|several|many|multiple)\s+"
    r"(?:\w+\s+){0,2}?"
    r"(?:features?|endpoints?|modules?|components?|pages?|screens?|services?|tests?|files?|papers?|reports?|"
    r"articles?|chapters?|topics?|tables?|commands?|levels?|integrations?|competitors?|companies|libraries|"
    r"frameworks|providers)\b"
)
_DUTIES = tuple(
    map(
        _any,
        (
            "tests?",
            "document, documentation, docs, readme",
            "deploy, deployment, docker, ci",
            "login, authentication, auth, users?",
            "database, persist, storage, schema",
            "ui, interface, frontend, dashboard",
            "benchmark, performance, optimi[sz]e",
            "security, permissions?",
            "search, filter, history",
        ),
    )
)
_WHOLE = _any(
    "from scratch, end[- ]to[- ]end, production[- ]ready, full[- ]stack, complete, entire, whole, all of, "
    "every(?:thing)?, across the, large[- ]scale, comprehensive, thorough(?:ly)?, in[- ]depth"
)
_STEPS = _any(
    "first .{0,200} then, after that, step by step, following steps, finally, in phases, milestones?"
)
_RESEARCH = _any("research, survey, investigate, find out about, literature, gather (?:information|sources)")
_ANALYSIS = _any("analy[sz]e, compare, evaluate, assess, audit, review, benchmark")
_AT_HAND = _any(
    "(?:this|that|the following|my) "
    "(?:function|line|method|error|snippet|sentence|paragraph|email|regex|query|text|essay|letter|poem|cv)"
)


def _lightness(text: str, asked: Wanted) -> float:
    """How much of the confidence stays, where an answer is asked for, or little."""
    one_piece = Thing.PIECE in asked.things and Thing.PRODUCT not in asked.things
    nothing = not asked.works and len(text.split()) < _LONG_WORDS
    factors = (
        (0.35, asked.question),
        (0.3, nothing),
        (0.3, one_piece),
        # Something small that is asked for as a whole is not little.
        (0.5, asked.little and not _WHOLE.search(text)),
        (0.6, bool(_AT_HAND.search(text))),
    )
    return prod(factor for factor, applies in factors if applies)


def _by_length(text: str) -> Iterator[_Signal]:
    words = len(text.split())
    if words >= _LONG_WORDS:
        weight = 0.5 if words >= _VERY_LONG_WORDS else 0.3
        yield _Signal(weight, f"a description of {words} words")


def _by_items(items: tuple[str, ...]) -> Iterator[_Signal]:
    if len(items) >= 3:
        yield _Signal(
            min(0.65, 0.25 + 0.08 * len(items)), f"it lists {len(items)} parts", TaskType.MULTI_STEP
        )


def _by_things(asked: Wanted, text: str) -> Iterator[_Signal]:
    if asked.product:
        yield _Signal(_BUILT, f"something is to be made ({asked.product})", TaskType.CODING_PROJECT)
    elif asked.makes:
        about = None if asked.things else _SOFTWARE.search(text)
        said = f" ({about[0]})" if about else ""
        yield _Signal(_MADE if about else 0.15, f"something is to be made{said}", TaskType.CODING_PROJECT)


def _counted(text: str) -> Iterator[_Signal]:
    match = _COUNTED.search(text)
    if match and match["count"] not in ("1", "0"):
        yield _Signal(0.45, f"it asks for {match[0]}", TaskType.MULTI_STEP)


def _duties(text: str) -> Iterator[_Signal]:
    found = sum(bool(pattern.search(text)) for pattern in _DUTIES)
    if found >= 2:
        yield _Signal(min(0.5, 0.12 * found), f"{found} kinds of work in one", TaskType.CODING_PROJECT)


def _whole(text: str) -> Iterator[_Signal]:
    if match := _WHOLE.search(text):
        yield _Signal(0.3, f"it is about the whole ({match[0]})")


def _steps(text: str) -> Iterator[_Signal]:
    if _STEPS.search(text):
        yield _Signal(0.35, "it has steps in an order", TaskType.MULTI_STEP)


def _research(text: str) -> Iterator[_Signal]:
    if _RESEARCH.search(text):
        yield _Signal(0.3, "it is research", TaskType.MULTI_RESEARCH)


def _analysis(text: str) -> Iterator[_Signal]:
    found = len(set(_ANALYSIS.findall(text)))
    if found:
        yield _Signal(min(0.5, 0.2 + 0.15 * found), "it is an analysis", TaskType.COMPLEX_ANALYSIS)


_LOOKS: tuple[Callable[[str], Iterator[_Signal]], ...] = (
    _counted,
    _duties,
    _whole,
    _steps,
    _research,
    _analysis,
)


def _kind(signals: list[_Signal]) -> TaskType:
    """The kind that most speaks for; research and analysis go before the making of what they end in."""
    weights: dict[TaskType, float] = {}
    for signal in signals:
        if signal.kind is not None:
            weights[signal.kind] = weights.get(signal.kind, 0.0) + signal.weight
    if weights.get(TaskType.CODING_PROJECT, 0) >= _MADE:
        return TaskType.CODING_PROJECT
    for kind, least in ((TaskType.MULTI_RESEARCH, 0.3), (TaskType.COMPLEX_ANALYSIS, 0.35)):
        if weights.get(kind, 0) >= least:
            return kind
    return max(weights, key=lambda kind: weights[kind], default=TaskType.MULTI_STEP)
