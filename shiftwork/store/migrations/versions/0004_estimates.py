"""Which answers of a model are counted by estimate."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the mark; false for rows from before, of which nobody knows."""
    op.execute("ALTER TABLE usage ADD COLUMN estimated BOOLEAN DEFAULT false NOT NULL")
    op.execute("CREATE INDEX ix_usage_estimated ON usage (session_id) WHERE estimated")
