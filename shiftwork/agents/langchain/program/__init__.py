"""The process of the backend `langchain`; see `docs/langchain.md`."""
