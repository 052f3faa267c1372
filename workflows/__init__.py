"""What must survive: deterministic, one workflow a file, each reads like the process itself."""
