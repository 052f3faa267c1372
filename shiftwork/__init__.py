"""Shiftwork's domain: everything it knows, without Temporal."""

__version__ = "0.1.0"
