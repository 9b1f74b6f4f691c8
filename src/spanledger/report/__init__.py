"""Notebook displays, charts and the statement."""
