"""Halls in the console: halls and slots of an assessment organisation, who has a seat in them, start codes,
extra time. One blueprint, with a file for each of these."""

from dingkao.blueprints.console.halls import (
    extra_time,
    hall_list,
    seats,
    slot_list,
    slots,
    tickets,
)
from dingkao.blueprints.console.halls.blueprint import halls

__all__ = [
    "extra_time",
    "hall_list",
    "halls",
    "seats",
    "slot_list",
    "slots",
    "tickets",
]
