"""The tools as a server of the Model Context Protocol, so that any agent that speaks it can run projects."""
