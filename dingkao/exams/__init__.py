"""The exam: question banks, papers, practice, tickets, sittings, marking."""
