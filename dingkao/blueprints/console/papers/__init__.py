"""Papers in the console: the cycle's papers are listed, made, changed, previewed, printed, and their window
extended. One blueprint, with a file for each of these."""

from dingkao.blueprints.console.papers import (
    editing,
    extension,
    paper_list,
    print_and_preview,
)
from dingkao.blueprints.console.papers.blueprint import papers

__all__ = [
    "editing",
    "extension",
    "paper_list",
    "papers",
    "print_and_preview",
]
