"""The application as it is served, but with hashes of the least cost, so that what signing in costs beside
them can be measured. It is an application of the tests' own: nothing that the product is told leads to it."""

from wsgiref.types import WSGIApplication

from argon2 import PasswordHasher

from dingkao.people import passwords

HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def application() -> WSGIApplication:
    """The application, to whose processes such a hash is the present one: it is checked and not renewed."""
    passwords._hasher, passwords._DUMMY_HASH = HASHER, HASHER.hash("nobody has this password")
    from wsgi import application as served  # only where it is served: it needs what a server is told

    return served
