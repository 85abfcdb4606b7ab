"""Displays, tables and files for people. The only room that imports rich besides the command line."""
