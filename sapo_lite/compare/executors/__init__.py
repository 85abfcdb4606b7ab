"""Executors for the runs of a comparison: processes on this machine."""
