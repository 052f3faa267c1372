"""Running programs to their end: streamed, bounded, and with nothing left of them afterwards."""
