"""Tasks: what carries them out. A provider is a plug-in that processes the tasks that name it."""
