"""How a session's agent was confined."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the level that held it; '' for sessions from before."""
    op.execute("ALTER TABLE sessions ADD COLUMN sandbox TEXT DEFAULT '' NOT NULL")
