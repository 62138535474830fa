"""The exam: papers, halls and slots, tickets, sittings, monitoring, scoring."""
