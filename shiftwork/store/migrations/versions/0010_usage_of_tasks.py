"""What tasks spent, of those from before too: their traces tell."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE tasks ADD COLUMN usage JSONB GENERATED ALWAYS AS (trace -> 'usage') STORED")
