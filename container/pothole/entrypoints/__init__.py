"""The entry points are the ways in: command line, HTTP, Python."""
