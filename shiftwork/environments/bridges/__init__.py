"""Bridges to environments of the field, in both directions.

Nothing is imported here: each bridge needs a package that people install only if they want it, and says
which.
"""
