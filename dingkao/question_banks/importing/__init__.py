"""Writes the rows of question files to a bank: validates them, finds what the bank has already, and proposes
questions and versions. The files are read by `question_banks/importers`."""
