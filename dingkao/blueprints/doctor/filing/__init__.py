"""Filing (填报信息) [S5], [S7] to [S11]: the pages of the five steps, entries, photo and proofs, submission
and withdrawal."""

from dingkao.blueprints.doctor.filing import (
    documents,
    entries,
    steps,
    submission,
)
from dingkao.blueprints.doctor.filing.blueprint import filing

__all__ = ["documents", "entries", "filing", "steps", "submission"]
