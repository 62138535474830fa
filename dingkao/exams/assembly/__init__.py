"""Assembly (组卷): see `paper_assembly`."""
