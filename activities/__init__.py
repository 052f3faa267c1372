"""What touches the world: retryable, idempotent; thin classes whose dependencies arrive in `__init__`."""
