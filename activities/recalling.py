"""What a brief says of earlier decisions: those that matter most to the work at hand, within a budget."""

from collections.abc import Sequence

from shiftwork.agents.recalled import DecisionBrief
from shiftwork.store.recall import Subject, words_as_tags
from shiftwork.store.rows import DecisionRow, FeatureRow, ProjectRow
from shiftwork.store.store import Transaction
from shiftwork.text import truncate

BUDGET_TOKENS = 1_500
"""What all decisions of a brief may take together; a token is counted as four characters."""
_CHARACTERS_PER_TOKEN = 4
_MOST_DECISIONS = 20
_AROUND = 160
"""Characters that a decision takes besides its texts: the names of its fields, its outcome, its session."""
_LEAST = 120
"""A decision whose texts would have to be cut below this many characters each is left out instead."""
_TEXTS = ("decision", "context", "reasoning")


async def recall_decisions(
    tx: Transaction, project: ProjectRow, feature: FeatureRow | None
) -> tuple[DecisionBrief, ...]:
    """The decisions of this project that matter most to the feature, or to planning, best first."""
    about = _planning(project) if feature is None else _about(feature)
    rows = await tx.decisions.recall(project.id, about, newest=_MOST_DECISIONS, limit=_MOST_DECISIONS)
    return fit(rows, BUDGET_TOKENS * _CHARACTERS_PER_TOKEN)


def _about(feature: FeatureRow) -> Subject:
    steps = (line for step in feature.verification_steps for line in (step.description, step.command or ""))
    text = "\n".join([feature.name, feature.description, *steps])
    return Subject(
        text=text,
        tags=words_as_tags(text, feature.category),
        feature_id=feature.id,
        category=feature.category,
    )


def _planning(project: ProjectRow) -> Subject:
    text = f"{project.name}\n{project.description}\n{project.spec}"
    return Subject(text=text, tags=words_as_tags(text))


def fit(rows: Sequence[DecisionRow], characters: int) -> tuple[DecisionBrief, ...]:
    """As many decisions as fit, in this order, with the longest of their texts cut; lessons never are.

    One that does not fit is left out for a later one that does; the first is always there.
    """
    chosen: list[DecisionRow] = []
    left = characters
    for row in rows:
        needed = _size(row, _LEAST)
        if needed <= left or not chosen:
            chosen.append(row)
            left -= needed
    longest = _longest_text(chosen, characters)
    return tuple(_brief(row, longest) for row in chosen)


def _longest_text(rows: Sequence[DecisionRow], characters: int) -> int:
    """How long a text may be for all of them to fit together: the greatest such number."""
    low, high = _LEAST, max(_LEAST, characters)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(_size(row, middle) for row in rows) <= characters:
            low = middle
        else:
            high = middle - 1
    return low


def _size(row: DecisionRow, longest: int) -> int:
    texts = sum(min(len(getattr(row, name)), longest) for name in _TEXTS)
    tags = sum(len(tag) + 4 for tag in row.tags)
    return _AROUND + len(row.feature or "") + len(row.lesson or "") + tags + texts


def _brief(row: DecisionRow, longest: int) -> DecisionBrief:
    fields = row.model_dump(include=set(DecisionBrief.model_fields))
    return DecisionBrief.model_validate(
        fields | {name: truncate(getattr(row, name), longest) for name in _TEXTS}
    )
