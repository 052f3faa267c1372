"""Agents that are a text of Python: `runner` runs one as a task, `backend` as the agent of a session."""
