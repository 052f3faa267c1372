"""Pure decisions: which features are ready, retry or block, when to stop. No clock, no I/O, no randomness."""
