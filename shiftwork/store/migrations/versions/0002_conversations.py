"""What an attempt needs for the next one to go on where it was lost."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the commit an attempt started from, and its program's own session."""
    op.execute("ALTER TABLE attempts ADD COLUMN base TEXT")
    op.execute("ALTER TABLE attempts ADD COLUMN conversation TEXT DEFAULT '' NOT NULL")
