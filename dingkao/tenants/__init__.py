"""Provinces: which there are, which one a request or job is in, and how the database is told."""
