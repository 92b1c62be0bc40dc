"""Without its library an adapter says in one line what to install."""

from __future__ import annotations

import importlib
import sys

import pytest

from heatlift import HeatliftError


@pytest.mark.parametrize(
    ("adapter", "module"), [("torchmetrics", "torchmetrics"), ("lightning", "lightning.pytorch")]
)
def test_what_is_missing_is_named_with_its_extra(
    adapter: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"heatlift.adapters.{adapter}", raising=False)
    message = f"heatlift.adapters.{adapter} needs {adapter}: pip install 'heatlift[adapters]'"
    with pytest.raises(HeatliftError) as caught:
        importlib.import_module(f"heatlift.adapters.{adapter}")
    assert str(caught.value) == message
