"""Parsers of question files: spreadsheets, Word documents and GIFT."""
