"""Verification by execution: steps run on a fresh checkout of what would become main, and leave evidence."""
