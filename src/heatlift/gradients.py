"""Gradients, whatever the caller has switched off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def gradients() -> Iterator[None]:
    """Gradients are recorded inside, also for a caller in ``torch.no_grad`` or ``torch.inference_mode``.

    In inference mode, in which Lightning validates, `torch.enable_grad` alone does nothing.
    """
    with torch.inference_mode(False), torch.enable_grad():
        yield
