"""Provinces (the tenants): the registry, the current province of a request or job, and how it is passed to
the database."""
