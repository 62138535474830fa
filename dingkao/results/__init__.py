"""Results (考核结果): pass lines, verdicts, publication. A score alone is not a result."""
