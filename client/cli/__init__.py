"""The command line: one table of commands, handlers that are imported only when chosen."""
