"""The review desk in the console: besides the queue (`filing_review`) the page of a record, batches, what one
has sent on, who looks at what, and ready-made phrases. One blueprint, with a file for each of these."""

from dingkao.blueprints.console.filing_review import filing_review
from dingkao.blueprints.console.review_pages import (
    assignment_page,
    batch_pages,
    phrase_page,
    record_files,
    record_page,
    sent_records,
)

__all__ = [
    "assignment_page",
    "batch_pages",
    "filing_review",
    "phrase_page",
    "record_files",
    "record_page",
    "sent_records",
]
