"""Uploads: files sent in chunks, continued after an interruption, and passed to the package that uses
them."""
