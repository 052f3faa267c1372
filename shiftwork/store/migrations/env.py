"""What Alembic runs: the migrations, on the connection that `shiftwork.store.migrate` hands over."""

from alembic import context

from shiftwork.store.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
