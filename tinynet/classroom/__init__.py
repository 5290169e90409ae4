"""Classroom assignments."""
