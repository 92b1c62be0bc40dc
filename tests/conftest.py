from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# One thread for each of several processes: torch's threads wait for one another by spinning, which starves
# those of a neighbour.
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


@pytest.fixture
def shared() -> Path:
    """Real data and weights beside the checkout; tests that want them are extra."""
    folder = Path(os.environ.get("HEATLIFT_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set HEATLIFT_SHARED")
    return folder


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)
