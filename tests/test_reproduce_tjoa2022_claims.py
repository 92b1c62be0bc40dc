"""What Tjoa 2022's claims rest on: gaps, ranks, counts and intervals, by other ways and in invented runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from heatlift.ranking import FloatArray
from heatlift.report.lift.outcomes import Outcome
from heatlift.report.summary import read_audit
from heatlift.reproduce.parts import Part
from heatlift.reproduce.tjoa2022 import audits, gaps, paired
from heatlift.reproduce.tjoa2022.curves import Risen
from heatlift.reproduce.tjoa2022.gaps import upper
from heatlift.reproduce.tjoa2022.kept import Kept
from heatlift.reproduce.tjoa2022.layers import deeper
from heatlift.reproduce.tjoa2022.paired import difference, differences
from heatlift.reproduce.tjoa2022.pixels import correlations
from heatlift.reproduce.tjoa2022.stages import Shown, Stages
from heatlift.reproduce.tjoa2022.toy import PANELS, in_pi
from heatlift.run.columns import PairScores, read_predictions, read_scores
from heatlift.run.tables import read_table
from runs import Invented, write_run


@dataclass
class Written:
    """In place of `Stages`: invented audits of the two networks on X-rays and of the one on photographs."""

    folder: Path
    xrays: Invented
    photographs: Invented

    def _shown(self, name: str, like: Invented, of: str) -> Shown:
        if not (self.folder / name).exists():
            write_run(self.folder / name, like)
        return Shown(name, name, name, "demo", "default", "", None, (), of)

    def on_xrays(self, place: int) -> Shown:
        name = ("first", "second", "third")[place]
        return self._shown(name, self.xrays, f"networks/{name}")

    def on_photographs(self, place: int) -> Shown:
        return self._shown("photographs", self.photographs, "")

    def audit(self, shown: Shown) -> Path:
        return self.folder / shown.name

    def relative(self, folder: Path) -> str:
        return folder.name


MANY, FEW = Invented(), Invented(wrong=6)


def told(folder: Path, make: Any, xrays: Invented = MANY, photographs: Invented = MANY) -> Part:
    return cast(Part, make(cast(Stages, Written(folder, xrays, photographs))))


def test_the_share_with_a_gap_is_that_of_known_aurocs_and_printed_for_figure_2_alone(tmp_path: Path) -> None:
    part = told(tmp_path, gaps.gap, photographs=FEW)
    assert [line.what for line in part.lines if line.printed == "all"] == [
        "first, x + h: share of heatmaps that score correct above wrong, with the label"
    ]
    assert [line.printed for line in part.lines].count(None) == len(part.lines) - 1
    methods = [m for m in read_audit(tmp_path / "first").methods if not m.control]
    for line, own in (
        (part.lines[0], [m for m in methods if m.operation == "add"]),
        (part.lines[1], methods),
    ):
        hits = [m.auroc_label is not None and m.auroc_label.above(0.5) for m in own]
        assert line.measured == {"value": np.mean(hits), "low": None, "high": None, "n": len(own)}
    assert "4 of 4 with the label" in part.title
    assert part.title.endswith("photographs too few to say (112 correct, 6 wrong)")
    few = [line for line in part.lines if line.what.startswith("photographs: share")]
    assert [(line.measured, line.note) for line in few] == 3 * [(None, "too few: 112 correct, 6 wrong")]


@pytest.mark.parametrize("like", [FEW, Invented(labelled=False)], ids=["few", "unlabelled"])
def test_no_gap_is_found_or_missed_with_few_errors_or_without_labels(like: Invented, tmp_path: Path) -> None:
    part = told(tmp_path, gaps.gap, like, like)
    assert part.title.startswith("Too few images to compare correct with wrong: ")
    assert all(line.measured is None for line in part.lines)


def test_what_is_printed_of_gaps_is_what_the_captions_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audits, "box_plates", lambda *_: ())  # drawings take most of the time
    monkeypatch.setattr(audits, "auroc_plate", lambda _: None)
    two, three, seven = (told(tmp_path, make) for make in (audits.figure_2, audits.figure_3, audits.figure_7))
    assert {line.printed for line in two.lines if "gap of medians" in line.what} == {"above 0", None}
    assert [line.printed for line in three.lines if line.printed] == ["Saliency’s"]
    assert not [line for line in seven.lines if line.printed]
    few = told(tmp_path / "few", audits.figure_3, photographs=FEW)
    (largest,) = (line for line in few.lines if line.printed)
    assert largest.measured is None
    assert largest.note.startswith("too few")


def _outcome(**known: Any) -> Outcome:
    return Outcome(**dict.fromkeys(Outcome.__dataclass_fields__) | {"image": "a"} | known)


def test_images_that_got_there_soon_are_counted() -> None:
    outcomes = [_outcome(steps=steps, reached=True) for steps in (49, 50, 51)]
    outcomes += [_outcome(steps=20, reached=False), _outcome(reached=True)]
    assert Risen(cast(Shown, None), Path(), outcomes, {}).within == 2


def test_two_networks_are_compared_with_30_images_of_each_kind() -> None:
    rng = np.random.default_rng(0)
    for wrong, known in ((29, False), (30, True)):
        correct = np.arange(90) >= wrong
        both = [(rng.normal(size=90) + right, right) for right in (correct, np.arange(90) < 45)]
        for pair in (both, both[::-1]):
            assert [(each.value is not None) for each in difference(pair[0], pair[1], 0)] == [known, known]


def test_resamples_keep_the_number_of_each_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores that depend on nothing but who was right: only other numbers in the groups could change them."""
    monkeypatch.setattr(paired, "RESAMPLES", 40)
    first, second = (np.tile(bits, 20) for bits in ([1, 1, 0, 0, 1], [1, 0, 1, 0, 0]))
    group = 2 * first + second
    scores = [np.array(values, dtype=np.float64)[group] for values in ([3, 0, 1, 2], [1, 2, 0, 3])]
    for found in difference((scores[0], first == 1), (scores[1], second == 1), 0):
        assert found.value is not None
        assert found.low == found.high == found.value


def test_the_difference_of_gaps_is_that_of_medians_and_its_auroc_sklearns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paired, "RESAMPLES", 100)
    first = write_run(tmp_path / "first", Invented(images=120, wrong=50))
    second = write_run(tmp_path / "second", Invented(images=90, wrong=40))
    found = differences(first, second, seed=0)
    assert set(found) == {"saliency/add", "saliency/multiply", "deeplift/add", "deeplift/multiply"}
    for name, (widths, aurocs) in found.items():
        own = [_rows(run, name) for run in (first, second)]
        common = own[0].keys() & own[1].keys()
        assert widths.n == len(common)
        gap, auroc = [], []
        for rows in own:
            scores = np.array([rows[image][0] for image in sorted(common)])
            right = np.array([rows[image][1] for image in sorted(common)])
            gap.append(np.median(scores[right]) - np.median(scores[~right]))
            auroc.append(roc_auc_score(right, scores))
        assert widths.value == pytest.approx(gap[0] - gap[1])
        assert aurocs.value == pytest.approx(auroc[0] - auroc[1])
        assert widths.low is not None
        assert widths.high is not None
        assert widths.low < widths.value < widths.high
    for widths, aurocs in differences(first, first, seed=0).values():
        assert (widths.value, widths.low, widths.high) == (0, 0, 0)
        assert (aurocs.value, aurocs.low, aurocs.high) == (0, 0, 0)


def _rows(run: Path, name: str) -> dict[str, tuple[float, bool]]:
    """The label's CO score of every usable image, and whether it was predicted correctly."""
    right = {row["image"]: row["correct"] for row in read_table(run, "predictions").to_pylist()}
    method, operation = name.split("/")
    return {
        row["image"]: (row["co_label"], right[row["image"]])
        for row in read_table(run, "scores").to_pylist()
        if (row["method"], row["operation"], row["status"]) == (method, operation, "ok")
    }


def test_upper_ends_are_numpys_percentiles(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", summarised=False)
    for pair in read_scores(run, read_predictions(run)):
        figure = upper(pair, seed=0)
        assert figure.value == pytest.approx(np.percentile(pair.co_label[pair.ok], 95))
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high


def _at_layers(scores: FloatArray) -> list[PairScores]:
    """Invented scores (layers, images) as those of a method at one layer after the other."""
    n = scores.shape[1]
    ok, classes = np.ones(n, dtype=bool), np.zeros(n, dtype=np.int64)
    return [
        PairScores(f"layer_gradcam@{i}", "add", False, 1.0, ok, {}, row, row, row, classes, row)
        for i, row in enumerate(scores)
    ]


def test_depth_is_spearmans_correlation_averaged_over_images() -> None:
    scores = np.random.default_rng(4).normal(size=(5, 40)).round(1)
    expected = [spearmanr(np.arange(5), scores[:, image]).statistic for image in range(40)]
    assert deeper(_at_layers(scores)).value == pytest.approx(np.mean(expected))
    rising = np.arange(4.0)[:, None] ** 3 + np.zeros((4, 6))
    assert deeper(_at_layers(rising)).value == pytest.approx(1)
    assert deeper(_at_layers(rising[:2])).value is None


def _kept(pixels: FloatArray, heatmap: FloatArray, bias: float | None) -> Kept:
    return Kept(Path(), _outcome(), pixels, heatmap, bias, {})


@pytest.mark.parametrize("bias", [None, 0.01])
def test_the_shuffled_control_hands_the_same_moves_to_other_pixels(bias: float | None) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0.05, 1, (3, 20, 20))
    moves = rng.normal(0, 0.4, pixels.shape)
    # With a bias Adam moves w and b alike.
    inner = (1 + moves) * pixels + (0 if bias is None else bias + moves)
    one = _kept(pixels, np.tanh(inner), bias)
    shuffled = np.arctanh(one.shuffled(3))
    found = (shuffled - pixels - (bias or 0)) / (pixels + (bias is not None))
    np.testing.assert_allclose(np.sort(found, axis=None), np.sort(moves, axis=None), atol=1e-9)
    assert np.abs(found - moves).max() > 0.1
    np.testing.assert_allclose(_kept(pixels, one.start, bias).shuffled(3), one.start, atol=1e-12)


def test_black_pixels_stay_as_they_are_without_a_bias() -> None:
    pixels = np.zeros((3, 8, 8))
    pixels[:, 4:] = 0.6
    one = _kept(pixels, np.tanh(1.5 * pixels), None)
    np.testing.assert_allclose(one.shuffled(0), one.heatmap, atol=1e-12)


def test_correlations_are_ranks_of_extremeness() -> None:
    pixels = np.random.default_rng(1).uniform(size=(3, 16, 16))
    # h - x grows with |x - 0.5|, whatever its sign
    found = correlations(_kept(pixels, pixels + 0.2 * (pixels - 0.5), None), seed=0)
    assert found["optimised"] == pytest.approx(1)
    ranks = [rankdata(each, axis=None) for each in (np.abs(np.tanh(pixels) - pixels), np.abs(pixels - 0.5))]
    assert found["start"] == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_angles_are_written_in_lowest_terms() -> None:
    assert [in_pi(n) for n in (-4, -2, -1, 0, 1, 2, 3, 4, 6, 8)] == [
        "−π", "−π/2", "−π/4", "0", "π/4", "π/2", "3π/4", "π", "3π/2", "2π",
    ]  # fmt: skip
    assert [a1 > a2 for _, a1, a2 in PANELS] == [True] * 3
