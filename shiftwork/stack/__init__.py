"""The embedded PostgreSQL and Temporal dev server, and the file that says where they are.

Only `file` is light enough for a command that just wants an address; import the others where a stack is run.
"""
