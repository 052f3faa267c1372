"""The backend `langchain`: an agent of our own on any chat model that LangChain knows.

`backend` is the harness's side and imports no LangChain; `program` is the process, started as
`python -m shiftwork.agents.langchain`, which does.
"""
