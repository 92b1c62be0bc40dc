from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    import torch

# Modules and tests, some 800,000 objects, stay until the end: to go through them for garbage, while they are
# made and at every full collection after that, takes half a second each time.
gc.disable()


def pytest_collection_finish() -> None:
    """In each process that runs tests, and not in one that only hands them out."""
    import torch

    # One thread for each of several processes: torch's threads wait for one another by spinning, which
    # starves those of a neighbour.
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Libraries that count what is left at the end would else complain."""
    gc.unfreeze()


@pytest.fixture
def shared() -> Path:
    """Real data and weights beside the checkout; tests that want them are extra."""
    folder = Path(os.environ.get("HEATLIFT_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set HEATLIFT_SHARED")
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For networks so small that a second thread would only wait for the first."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium. Without one its tests are skipped, but never where HEATLIFT_BROWSER is "required"."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        no_browser("playwright is not installed")
    with sync_playwright() as started:
        installed = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
        own = Path(started.chromium.executable_path)
        program = next(filter(None, installed), str(own) if own.exists() else None)
        if program is None:
            no_browser("no Chromium or Chrome on this machine")
        arguments = ["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
        launched = started.chromium.launch(executable_path=program, args=arguments)
        yield launched
        launched.close()


def no_browser(why: str) -> NoReturn:
    if os.environ.get("HEATLIFT_BROWSER") == "required":
        pytest.fail(f"{why}, and HEATLIFT_BROWSER says that it must be: make browser")
    pytest.skip(why)


@pytest.fixture(scope="module")
def viewer(runs: list[Path]) -> Iterator[Any]:
    """A viewer of a module's runs."""
    from viewers import served  # few tests need a server

    with served(*runs) as found:
        yield found


@pytest.fixture
def generator() -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(7)
