"""How fast the whole job is, beside what bounds it and beside others: rows, a process each, run in turn."""
