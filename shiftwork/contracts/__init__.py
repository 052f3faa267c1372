"""Versioned models that cross a process boundary: workflow messages, files of agents, files of people.

`Message` models travel between our own processes and ignore fields that a newer version adds;
`Document` models are files that people and agents write, and refuse what they don't know.
"""
