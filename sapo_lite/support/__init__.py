"""Helpers that know no domain: files, messages, shipped data, progress, library logs."""
