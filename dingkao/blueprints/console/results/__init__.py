"""Results in the console: pass lines, 综合评定, publication. One blueprint, with a file for each of these."""

from dingkao.blueprints.console.results import (
    conclusions,
    meetings,
    pass_line_list,
    publications,
)
from dingkao.blueprints.console.results.blueprint import results

__all__ = ["conclusions", "meetings", "pass_line_list", "publications", "results"]
