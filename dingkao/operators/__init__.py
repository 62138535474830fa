"""Operators of the platform: who they are, their sessions, what they did. Outside every province, by an engine and role of their own."""
