"""Helpers without domain knowledge: files, messages, shipped data, progress, library logs."""
