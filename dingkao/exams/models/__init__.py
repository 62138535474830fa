"""The tables of exams, each file beside what uses it; import from the files."""
