"""Results (考核结果): pass lines, verdicts, publication; a score is not a result."""
