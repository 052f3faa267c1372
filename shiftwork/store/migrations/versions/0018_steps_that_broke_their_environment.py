"""Which steps left an environment broken, so that an episode that is taken up after one has ended there."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE episode_steps ADD COLUMN broken BOOLEAN DEFAULT false NOT NULL")
