"""A run's tables as arrays: scales, temperatures, indicators, and runs from before there were any."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import heatlift as hl
from heatlift.run.columns import NONE, read_indicators, read_predictions, read_scores
from heatlift.run.tables import read_table
from heatlift.temperature import TEMPERATURES
from runs import Invented, write_run

LIKE = Invented(images=30, wrong=10, scales=(0.1, 1.0), indicators=("mine:good", "mine:other"))


def written(folder: Path, like: Invented = LIKE) -> Path:
    return write_run(folder, like, summarised=False)


def changed(run: Path, table: str, change: Any) -> None:
    """Write a table anew, as ``change`` makes it of its rows."""
    path = run / table / "part-000000.parquet"
    before = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(change(before.to_pylist()), schema=before.schema), path)


def earlier(run: Path) -> None:
    """Take out of a run what earlier versions did not write."""
    for table, column in (("scores", "scale"), ("predictions", "log_confidence_at")):
        path = run / table / "part-000000.parquet"
        pq.write_table(pq.read_table(path).drop_columns([column]), path)
    shutil.rmtree(run / "indicators")


def test_every_scale_has_its_scores(tmp_path: Path) -> None:
    run = written(tmp_path)
    pairs = list(read_scores(run, read_predictions(run)))
    names = [pair.name for pair in pairs]
    assert names[:4] == ["saliency/add x0.1", "saliency/add", "saliency/multiply x0.1", "saliency/multiply"]
    assert len(names) == len(set(names)) == 4 * 2 * 2
    table = read_table(run, "scores")
    for pair in pairs:
        mask = pc.and_(pc.equal(table["method"], pair.method), pc.equal(table["operation"], pair.operation))
        rows = table.filter(mask).filter(pc.equal(table.filter(mask)["scale"], pair.scale))
        expected = np.array(rows["co_predicted"].to_pylist(), dtype=float)
        np.testing.assert_array_equal(pair.co_predicted, expected)


def test_what_predictions_hold(tmp_path: Path) -> None:
    run = written(tmp_path)
    found = read_predictions(run)
    rows = read_table(run, "predictions").to_pylist()
    assert found.predicted.tolist() == [NONE if r["predicted"] is None else r["predicted"] for r in rows]
    assert [None if np.isnan(p) else p for p in found.p_label] == [r["p_label"] for r in rows]
    assert found.log_confidence_at is not None
    assert found.log_confidence_at.shape == (30, len(TEMPERATURES))
    assert np.isnan(found.log_confidence_at[~found.ok]).all()
    plain = found.log_confidence_at[found.ok, TEMPERATURES.index(1.0)]
    np.testing.assert_allclose(plain, np.log(found.confidences["confidence"][found.ok]), atol=1e-6)
    assert np.isnan(read_predictions(written(tmp_path / "b", Invented(labelled=False))).p_label).all()


def test_indicators_follow_the_images(tmp_path: Path) -> None:
    run = written(tmp_path)
    changed(run, "indicators", lambda rows: rows[::-1])
    predictions = read_predictions(run)
    found = {one.indicator: one for one in read_indicators(run, predictions)}
    assert list(found) == ["mine:other", "mine:good"]
    rows = {(r["image"], r["indicator"]): r["value"] for r in read_table(run, "indicators").to_pylist()}
    for name, one in found.items():
        for image, value, ok in zip(predictions.images.to_pylist(), one.values, one.ok, strict=True):
            assert ok == (rows[image, name] is not None)
            assert not ok or value == rows[image, name]
        assert one.failures == {LIKE.reason: LIKE.failed}


def test_a_run_of_an_earlier_version_is_read_at_scale_1(tmp_path: Path) -> None:
    run = written(tmp_path, Invented())
    before = list(read_scores(run, read_predictions(run)))
    earlier(run)
    predictions = read_predictions(run)
    assert predictions.log_confidence_at is None
    assert predictions.ok.sum() == 118
    pairs = list(read_scores(run, predictions))
    assert [(p.name, p.scale) for p in pairs] == [(f"{p.method}/{p.operation}", 1.0) for p in before]
    for one, other in zip(pairs, before, strict=True):
        np.testing.assert_array_equal(one.co_predicted, other.co_predicted)
    assert list(read_indicators(run, predictions)) == []
    found = hl.read(run)
    assert found.indicators.num_rows == 0
    assert found.scores["scale"].null_count == found.scores.num_rows
    shutil.rmtree(run / "scores")
    with pytest.raises(hl.HeatliftError, match="has no scores yet"):
        hl.read(run)


def test_figures_that_are_missing_are_failures_with_a_reason(tmp_path: Path) -> None:
    run = written(tmp_path)
    changed(run, "predictions", lambda rows: [rows[0] | {"log_confidence_at": [0.5]}, *rows[1:]])
    changed(run, "indicators", lambda rows: [rows[0], rows[1] | {"value": None}, *rows[2:]])
    predictions = read_predictions(run)
    assert not predictions.ok[0]
    assert predictions.failures["log_confidence_at is not a finite number"] == 1
    one = next(read_indicators(run, predictions))
    assert not one.ok[:2].any()
    assert one.failures["its prediction failed"] == 1
    assert one.failures["value is not a finite number"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1:], r"indicators has no row of mine:good for owl/0\.png"),
        (lambda rows: [*rows, rows[0]], r"indicators has more than one row of mine:good for owl/0\.png"),
        (
            lambda rows: [*rows, rows[0] | {"image": "stranger.png"}],
            r"indicators has rows for stranger\.png, which predictions lacks",
        ),
    ],
)
def test_indicators_that_do_not_fit_the_images_are_named(tmp_path: Path, change: Any, message: str) -> None:
    run = written(tmp_path)
    changed(run, "indicators", change)
    with pytest.raises(hl.HeatliftError, match=message):
        list(read_indicators(run, read_predictions(run)))


def test_a_missing_row_is_named_with_its_scale(tmp_path: Path) -> None:
    run = written(tmp_path)
    changed(run, "scores", lambda rows: rows[1:])
    with pytest.raises(hl.HeatliftError, match=r"scores has no row of saliency/add x0\.1 for owl/0\.png"):
        list(read_scores(run, read_predictions(run)))
