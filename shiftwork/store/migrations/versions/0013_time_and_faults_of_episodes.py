"""How long an episode was played before a worker gave it back, and which steps failed in the environment."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.execute("ALTER TABLE episodes ADD COLUMN played_seconds DOUBLE PRECISION DEFAULT 0 NOT NULL")
    op.execute("ALTER TABLE episode_steps ADD COLUMN fault BOOLEAN DEFAULT false NOT NULL")
