"""How fast the whole job is, beside what bounds it and beside others: rows, a process each, run in turn."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "local_test"))  # no package, and ours to use
