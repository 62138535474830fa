"""The only place in which a record (考核记录) comes to another institution."""

from dingkao.assessments.assessment_transitions import leave_desk
from dingkao.assessments.models import Assessment
from dingkao.assessments.record_counts import counted_move
from dingkao.people.models import Organisation

STATES_BEFORE_APPROVAL = (
    "not_included",
    "included",
    "draft",
    "institution_pending",
    "institution_returned",
)
"""States in which another institution also means another assessment organisation."""


def set_record_institution(record: Assessment, institution: Organisation) -> None:
    """Make `institution` that of a locked record, which leaves the desk of a reviewer, and, as long as the
    organisation has not reviewed it, the assessment organisation that of the institution."""
    with counted_move(record):
        record.institution_id = institution.id
        leave_desk(record)
        if record.state in STATES_BEFORE_APPROVAL and institution.assessment_organisation_id:
            record.assessor_id = institution.assessment_organisation_id
