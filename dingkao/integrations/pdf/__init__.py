"""Rendering and sanitizing PDF files."""
