"""The yardstick of `make bench`: an empty Flask view with one `select 1`, in a transaction of its own, served
as the product is.

What a request of the product costs is told as a multiple of what this one costs in the same minute, so that a
slow machine, or a slow hour of a fast one, moves both.
"""

import os

from flask import Flask
from sqlalchemy import create_engine, text


def application() -> Flask:
    """The yardstick's application; it takes the product's own address of the database."""
    flask_application = Flask("yardstick")
    engine = create_engine(os.environ["DATABASE_URL"])

    @flask_application.get("/")
    def select_one() -> str:
        """The view: one statement, four bytes."""
        with engine.connect() as connection:
            return f"one {connection.execute(text('select 1')).scalar_one()}"

    return flask_application
