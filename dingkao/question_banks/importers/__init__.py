"""Reads question files: spreadsheets, Word documents and GIFT become rows; nothing is stored but pictures.
What becomes of the rows in a bank is in `question_banks/importing`."""
