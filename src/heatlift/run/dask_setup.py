"""What workers of this machine's own cluster do as they start; Dask loads it into each of them."""

from __future__ import annotations

import logging
import signal


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the one that hands out, and errors too.

    It ends its workers, and says what went wrong in a line of its own.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
