"""Pages that doctors and staff share: account and uploads."""
