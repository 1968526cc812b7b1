"""The end of the process is told to its jobs."""

import threading
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ShutdownSignal:
    """The end of the process comes in two steps.

    Attributes:
        soon: Once set, nothing more is taken or begun, and jobs end at their next checkpoint.
        now: Once set, jobs end at their next frame.
    """

    soon: threading.Event = field(default_factory=threading.Event)
    now: threading.Event = field(default_factory=threading.Event)
