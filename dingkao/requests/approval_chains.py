"""Which sides decide on a request, in this order. For a change it depends on the state of the record."""

APPROVAL_CHAINS = {
    "exemption": ("institution", "organisation"), "deferral": ("institution", "organisation"), "correction": ("institution", "another"),
    "appeal": ("organisation", "province"),
}  # fmt: skip
CHANGE_CHAIN_BY_STATE = {
    "institution_pending": ("institution", None),
    "organisation_pending": ("organisation", None),
    "ready": ("institution", "organisation"),
}
