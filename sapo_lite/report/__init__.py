"""What is seen: the only room with rich; imports everything above, only the command line imports it."""
