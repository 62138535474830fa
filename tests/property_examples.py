"""How many examples a property is tried with."""

import os

DEEP = int(os.environ.get("DINGKAO_DEEP", "0"))
"""So many examples are drawn of the machines of states, and every other property is tried in full: `make
chaos`."""
FEWEST = 10


def property_examples(many: int) -> int:
    """`many` in full, a third of them in the suite."""
    return many if DEEP else min(many, max(FEWEST, many // 3))
