"""定考: the periodic assessment of physicians, one tenant a province."""
