"""Dask workers that are processes of their own, as Dask starts them, but begin at once.

A server imports what workers need, once, and forks each of them. A test of how a command starts workers does
without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import LocalCluster
from distributed.utils import get_mp_context

IMPORTS = (
    "distributed.nanny",
    "pyarrow.dataset",
    "heatlift.run.audit",
    "heatlift.run.lift",
    "heatlift.run.undesirable",
    "networks",
    "torch._dynamo",
    "zarr.codecs",
)


@contextmanager
def beginning_at_once(environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """In it, clusters of this process have such workers, with these variables in their environment."""
    method = {"distributed.worker.multiprocessing-method": "forkserver"}
    with pytest.MonkeyPatch.context() as patch, dask.config.set(method):
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        patch.setenv("OMP_NUM_THREADS", "1")
        get_mp_context().set_forkserver_preload(list(IMPORTS))
        forkserver.ensure_running()
        with dask.config.set({"distributed.nanny.environ": environment or {}}):
            yield


@contextmanager
def cluster_of_two(settings: Mapping[str, Any]) -> Iterator[Any]:
    """A cluster of two workers, as somebody else may have started them."""
    with (
        beginning_at_once(),
        dask.config.set(settings),
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as started,
    ):
        yield started
