"""Alembic migrations, applied by `shiftwork.store.migrate`."""
