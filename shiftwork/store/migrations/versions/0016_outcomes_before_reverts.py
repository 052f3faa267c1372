"""The outcomes that reverts take from decisions, so that undoing a revert can give them back."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what was reverted before had failed if its score tells so, else it had landed."""
    op.execute("ALTER TABLE decisions ADD COLUMN outcome_before TEXT")
    op.execute("ALTER TABLE decisions ADD COLUMN score_before DOUBLE PRECISION")
    op.execute(
        "UPDATE decisions SET outcome_before = CASE WHEN score <= -0.5 THEN 'failure' ELSE 'success' END,"
        " score_before = CASE WHEN score <= -0.5 THEN score ELSE 0.5 END"
        " WHERE outcome = 'reverted' AND judged_by = 'harness'"
    )
