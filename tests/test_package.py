from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType

import pytest

import heatlift


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import heatlift, sys; print([m for m in ('torch', 'numpy', 'PIL', 'timm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from heatlift.cli import run; run(['audit', '--help']);"
        "print([m for m in ('torch', 'numpy', 'PIL', 'timm', 'pyarrow', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_what_reads_runs_loads_no_network() -> None:
    code = (
        "import sys, heatlift.reading, heatlift.report, heatlift.run.place, heatlift.viewer.server;"
        "print([m for m in ('torch', 'timm', 'distributed') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_things_not_modules_whatever_was_imported_before() -> None:
    for module in walk_packages(heatlift.__path__, "heatlift."):
        import_module(module.name)
    for name in heatlift.__all__:
        assert not isinstance(getattr(heatlift, name), ModuleType), name
        assert name in dir(heatlift)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = heatlift.nothing
