"""Practice of doctors: runs of questions and mock exams."""
