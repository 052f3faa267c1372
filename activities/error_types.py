"""Types of errors that workflows know by name: what failed in a way that trying it there again can't help."""

NOT_HERE = "NotHere"
"""A run went on elsewhere, or ended, before somebody came to attend it."""

WORKER_STOPPING = "WorkerStopping"
"""A worker that ends gave work back."""

WORKER_LOST = "WorkerLost"
"""A worker was killed; the next one on its host gives its work back."""
