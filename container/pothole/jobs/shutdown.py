"""The shutdown signal tells jobs that their process is about to end."""

import threading
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ShutdownSignal:
    """A shutdown signal says in two steps that the process ends.

    Attributes:
        soon: Once set, nothing more is taken or begun, and jobs end at their next checkpoint.
        now: Once set, jobs end at their next frame.
    """

    soon: threading.Event = field(default_factory=threading.Event)
    now: threading.Event = field(default_factory=threading.Event)
