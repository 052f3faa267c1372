"""How often a worker that was told to stop gave an episode back."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE episodes ADD COLUMN worker_stops BIGINT DEFAULT 0 NOT NULL")
