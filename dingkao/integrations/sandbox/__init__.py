"""Sandboxes: child processes with limits, in which content from outside is parsed and drawn."""
