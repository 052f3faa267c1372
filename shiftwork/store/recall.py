"""Which decisions matter to a piece of work: one statement, by words, tags, feature, outcome and age."""

import re
from collections.abc import Iterable
from typing import Any

from shiftwork.contracts.base import Message
from shiftwork.store.types import storable

MOST_CHARACTERS = 8_000
"""Of a subject's text so many are looked for; names and descriptions come first, specifications go on."""
MOST_TAGS = 100
_WORD = re.compile(r"\w[\w.+#-]*")


class Subject(Message):
    """What decisions are looked for.

    Attributes:
        text: a decision that shares a word with it is related (English stemming).
        tags: so is one that shares a tag with these.
        feature_id: so is one made in a session of this feature.
        category: one made for this category of features is worth a little more.
    """

    text: str = ""
    tags: tuple[str, ...] = ()
    feature_id: int | None = None
    category: str | None = None


def words_as_tags(text: str, *more: str) -> tuple[str, ...]:
    """`more`, and the words of a text as somebody may have written them as tags: each once, in order."""
    found = _WORD.findall(text[:MOST_CHARACTERS])
    return tuple(dict.fromkeys([*more, *(form for word in found for form in _forms(word))]))[:MOST_TAGS]


def _forms(word: str) -> Iterable[str]:
    word = word.rstrip(".-")
    return (word, word.lower())


# Scalar subqueries are evaluated once, and their values are index conditions, whatever plan is chosen.
# Pairs are compared to find a project's newest by its index: by id alone it may come after many others'.
# A tsvector's text quotes its lexemes as a tsquery's does, each once: `'a' 'b'` becomes `'a' | 'b'`.
RECALL = """
WITH about AS MATERIALIZED (
    SELECT
        $2::text[] AS tags,
        replace(strip(to_tsvector('english', $3::text))::text, $q$' '$q$, $q$' | '$q$)::tsquery AS query,
        ARRAY(SELECT id FROM sessions WHERE feature_id = $4::bigint) AS own,
        (
            SELECT created_at FROM decisions
            WHERE (project_id, id) <= ($1::uuid, 9223372036854775807)
            ORDER BY project_id DESC, id DESC LIMIT 1
        ) AS latest
), newest AS (
    SELECT * FROM decisions
    WHERE (project_id, id) <= ($1::uuid, 9223372036854775807)
    ORDER BY project_id DESC, id DESC LIMIT $6::bigint
), candidates AS (
    SELECT *, true AS is_related FROM decisions WHERE project_id = $1::uuid AND (
        search @@ (SELECT query FROM about)
        OR tags && (SELECT tags FROM about)
        OR session_id = ANY ((SELECT own FROM about)::bigint[])
    )
    UNION ALL
    SELECT *, false FROM newest WHERE project_id = $1::uuid AND (
        search @@ (SELECT query FROM about)
        OR tags && (SELECT tags FROM about)
        OR session_id = ANY ((SELECT own FROM about)::bigint[])
    ) IS NOT TRUE
)
SELECT d.id
FROM candidates AS d
CROSS JOIN about
LEFT JOIN sessions AS s ON s.id = d.session_id
LEFT JOIN features AS f ON f.id = s.feature_id
ORDER BY
    CASE
        WHEN d.is_related AND d.lesson IS NOT NULL AND d.lesson_by = 'person' THEN 0
        WHEN d.is_related AND d.lesson IS NOT NULL THEN 1
        WHEN d.is_related THEN 2
        WHEN d.lesson IS NOT NULL THEN 3
        ELSE 4
    END,
    ts_rank(d.search, about.query, 1) * (numnode(about.query) + 1) / 2
        + (SELECT count(*) FROM unnest(d.tags) AS tag WHERE tag IN (SELECT unnest(tags) FROM about))
        + CASE WHEN d.session_id = ANY (about.own) THEN 1 ELSE 0 END
        + CASE WHEN f.category = $5::text THEN 0.5 ELSE 0 END
        + 0.5 * abs(coalesce(d.score, 0))
        + 0.5 / (1 + abs(extract(epoch FROM about.latest - d.created_at)) / 86400) DESC,
    d.id DESC
LIMIT $7::bigint
"""
"""The ids of the decisions that matter most, best first; takes what `recall_arguments` returns.

Tiers: lessons of people, lessons of the harness, and other decisions that are related; then the newest ones.
Within a tier by weight: words in common (one in the lesson counts 0.6, in the decision 0.24, in its context
0.12, in its reasons 0.06, less in long ones), 1 for each common tag, 1 for the same feature, 0.5 for the same
category, half of the score's distance from 0, and 0.5 for the newest, half of that a day before it. Of equal
ones the newer comes first.
"""


def recall_arguments(project_id: str, subject: Subject, newest: int, limit: int) -> tuple[Any, ...]:
    """The arguments of `RECALL`; `newest`: so many of the newest are taken even if they are not related."""
    tags = [storable(tag) for tag in subject.tags[:MOST_TAGS]]
    text = storable(subject.text[:MOST_CHARACTERS])
    return (project_id, tags, text, subject.feature_id, subject.category, newest, limit)
