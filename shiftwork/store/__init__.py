"""What is known, in PostgreSQL: tables, migrations, and one small class per noun.

Importing this package imports nothing, so that a command that only needs `shiftwork.store.status` starts
quickly. Start at `shiftwork.store.store.Store`.
"""
