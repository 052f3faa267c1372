"""Who judged a decision and gave its lesson; lessons can be found by their words."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_JUDGES = """
UPDATE decisions SET
    judged_by = CASE WHEN outcome = 'reverted' AND score IS NULL THEN 'harness' ELSE 'person' END,
    lesson_by = CASE WHEN lesson IS NOT NULL THEN 'person' END
WHERE outcome IS NOT NULL
"""

_SEARCH = """
ALTER TABLE decisions ADD COLUMN search TSVECTOR GENERATED ALWAYS AS (
    setweight(to_tsvector('english'::regconfig, coalesce(lesson, '')), 'A')
    || setweight(to_tsvector('english'::regconfig, decision), 'B')
    || setweight(to_tsvector('english'::regconfig, context), 'C')
    || setweight(to_tsvector('english'::regconfig, reasoning), 'D')
) STORED NOT NULL
"""


def upgrade() -> None:
    """Add the judges, of earlier judgements too: until now only reverts were not people's own."""
    op.execute("ALTER TABLE decisions ADD COLUMN judged_by TEXT")
    op.execute("ALTER TABLE decisions ADD COLUMN lesson_by TEXT")
    op.execute(_JUDGES)
    op.execute("ALTER TABLE decisions DROP COLUMN search")
    op.execute(_SEARCH)
    # Few decisions are written, and each brief reads: without a list of pending entries reads never pay.
    op.execute("CREATE INDEX ix_decisions_search ON decisions USING gin (search) WITH (fastupdate = off)")
    op.execute("ALTER INDEX ix_decisions_tags SET (fastupdate = off)")
