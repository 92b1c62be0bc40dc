"""The verdicts' rules, on constructed audits whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heatlift.added_value import Added
from heatlift.run.evidence import Finding, discoveries, equalling_control
from heatlift.run.scored import conclusion
from heatlift.run.verdicts import audit_verdict, code, control_verdict, gain_text, verdict
from heatlift.statistics import Figure
from judged import findings, predictions

N, WRONG = 400, 100
CORRECT = np.arange(N) >= WRONG
DRAWN = ("noise", "shuffled", "image")
"""The controls whose scores are drawn: zero's are 0."""


def normal(rng: np.random.Generator, shift: float) -> np.ndarray:
    """A score whose AUROC is Phi(shift / sqrt 2) in truth."""
    return rng.normal(shift * CORRECT)


def audit(found: list[Finding]) -> str:
    return audit_verdict(found, N, N - WRONG, WRONG)


def gained(one: Finding, *gain: float, p: float) -> Finding:
    """The same with another gain beside confidence."""
    assert one.added is not None
    added = Added(Figure(*gain, N), Figure(-0.01, -0.02, 0.0, N), 0.8, 0.8 + gain[0], p)
    return replace(one, added={**one.added, "confidence": added})


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [1.5, 0.0])
def test_noise_is_hardly_ever_a_discovery(shift: float) -> None:
    """Four scores of pure noise beside a good confidence, and beside one that is noise itself."""
    claimed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        said = predictions(CORRECT, normal(rng, shift))
        found = findings(said, {f"m{i}/add": normal(rng, 0) for i in range(4)}, resamples=60)
        kept = discoveries(found)
        claimed += bool(kept)
        assert audit(found).startswith("No heatmap here says anything") != bool(kept)
        told = [verdict(one, found) for one in found]
        assert any(words.startswith("adds") for words in told) == bool(kept)
        assert {code(one, found) for one in found} <= ({"adds", "nothing"} if kept else {"nothing"})
    assert claimed <= 5


@pytest.mark.slow
def test_a_planted_signal_is_found() -> None:
    """A score of AUROC 0.76 apart from a confidence of 0.76, both together 0.84, with noise and controls."""
    claimed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        said = predictions(CORRECT, normal(rng, 1))
        scores = {f"{name}/add": normal(rng, 0) for name in ("m0", "m1", "m2", "m3", "m4", *DRAWN)}
        found = findings(said, scores | {"planted/add": normal(rng, 1)})
        kept = discoveries(found)
        if [one.name for one in kept] == ["planted/add"]:
            claimed += 1
            assert verdict(found[-1], found).startswith("adds: AUROC +0.")
            assert audit(found).startswith(
                "1 of 6 scores says something about correctness that plain confidence does not: planted/add"
            )
    assert claimed >= 38


def test_a_signal_that_runs_backwards_adds_as_much(rng: np.random.Generator) -> None:
    score = normal(rng, 2)
    said = predictions(CORRECT, normal(rng, 0.5))
    forward, backward = (findings(said, {"planted/add": sign * score})[0] for sign in (1, -1))
    assert forward.beside_confidence is not None
    assert backward.beside_confidence is not None
    assert backward.beside_confidence.auroc.value == pytest.approx(forward.beside_confidence.auroc.value)
    assert verdict(backward, [backward]).startswith("adds: AUROC +0.")


@pytest.mark.slow
def test_what_only_mends_the_calibration_is_no_discovery() -> None:
    """Functions of a confidence whose correctness falls again where it is highest, or rises no more."""
    claimed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        z = rng.gamma(3, 1, 800)
        for shape in (np.minimum(z, 2), np.where(z < 5, z, 10 - z)):
            correct = rng.random(800) < 1 / (1 + np.exp(0.5 - shape))
            found = findings(predictions(correct, z), {"log/add": np.log(z), "reciprocal/add": 1 / z})
            claimed += bool(discoveries(found))
    assert claimed <= 2


@pytest.mark.slow
def test_in_two_classes_with_the_errors_in_one_noise_is_no_discovery() -> None:
    """Scores that know confidence and the class, and nothing else, beside noisy controls."""
    claimed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        said = predictions(CORRECT, normal(rng, 1), classes=2)
        predicted = np.where(CORRECT, rng.random(N) < 0.4, rng.random(N) < 0.9).astype(int)
        said = replace(said, predicted=predicted, label=np.where(CORRECT, predicted, 1 - predicted))
        known = said.confidences["max_logit"] - 2 * predicted
        scores = {f"{name}/add": known + rng.normal(size=N) for name in ("m0", "m1", "m2")}
        found = findings(said, scores | {f"{name}/add": rng.normal(size=N) for name in DRAWN})
        claimed += any(not one.limits for one in discoveries(found))
    assert claimed <= 1


def test_what_is_confidence_again_adds_nothing(rng: np.random.Generator) -> None:
    confidence = normal(rng, 1.5)
    (copy,) = findings(predictions(CORRECT, confidence), {"copy/add": np.exp(confidence)})
    assert code(copy, [copy]) == "nothing"
    assert verdict(copy, [copy]).startswith("says nothing beyond confidence here: AUROC ")


def test_what_many_looks_would_find_by_luck_is_not_claimed(rng: np.random.Generator) -> None:
    said = predictions(CORRECT, normal(rng, 1))
    (lucky,) = findings(said, {"lucky/add": normal(rng, 0)})
    lucky = gained(lucky, 0.03, 0.002, 0.06, p=0.03)
    assert verdict(lucky, [lucky]).startswith("adds: AUROC +0.030 [0.002, 0.060]")
    others = [gained(lucky, 0.0, -0.01, 0.01, p=0.5 + i / 100) for i in range(5)]
    others = [replace(one, name=f"m{i}/add") for i, one in enumerate(others)]
    among = verdict(lucky, [lucky, *others])
    assert among == (
        "says nothing beyond confidence here: AUROC +0.030 [0.002, 0.060], p = 0.18 after correction "
        "for 6 looks"
    )
    assert "p = 0.18 after correction for 6 looks" in audit([lucky, *others])


def test_a_gain_that_can_not_be_excluded_is_named(rng: np.random.Generator) -> None:
    (one,) = findings(predictions(CORRECT, normal(rng, 1)), {"m/add": normal(rng, 0)})
    unsure, sure = gained(one, 0.01, -0.02, 0.05, p=0.4), gained(one, 0.001, -0.002, 0.004, p=0.4)
    assert verdict(unsure, [unsure]).endswith("; up to +0.05 can't be excluded")
    assert verdict(sure, [sure]) == "says nothing beyond confidence here: AUROC +0.001 [-0.002, 0.004]"


def test_a_score_that_only_tells_the_classes_apart_is_called_so() -> None:
    """Two classes, nearly all errors among the images predicted to be of one: the class itself tells."""
    rng = np.random.default_rng(2)
    said = predictions(CORRECT, normal(rng, 0.3), classes=2)
    predicted = np.where(CORRECT, rng.random(N) < 0.3, rng.random(N) < 0.9).astype(int)
    said = replace(said, predicted=predicted, label=np.where(CORRECT, predicted, 1 - predicted))
    told = -predicted + 0.3 * rng.normal(size=N)
    (one,) = findings(said, {"class/add": told})
    assert one.seems_to_add
    assert one.adds_beside("predicted_class") is False
    assert "but not beside" in verdict(one, [one])
    assert "the predicted class" in verdict(one, [one])
    assert audit([one]).startswith("The one score tested adds to plain confidence, but none to all else")
    assert "the predicted class" in audit([one])
    (honest,) = findings(said, {"honest/add": normal(rng, 1.5)})
    assert honest.adds_beside("predicted_class")
    assert discoveries([one, honest]) == [honest, one]
    assert audit([one, honest]).startswith("1 of 2 scores says something about correctness that plain")
    assert "the predicted class" not in verdict(honest, [honest])


def test_with_many_classes_the_class_is_no_covariate(rng: np.random.Generator) -> None:
    (one,) = findings(predictions(CORRECT, normal(rng, 1)), {"m/add": normal(rng, 1)})
    assert one.adds_beside("predicted_class") is None
    assert one.adds_beside("label") is None


def test_the_best_score_and_confidence_are_named(rng: np.random.Generator) -> None:
    said = predictions(CORRECT, normal(rng, 1.5))
    scores = {"weak/add": normal(rng, 0), "other/multiply": normal(rng, 0), "noise/add": normal(rng, 0)}
    found = findings(said, scores)
    words = audit(found)
    plain = found[0].confidence
    gains = {one.name: one.beside_confidence.auroc for one in found[:2] if one.beside_confidence}
    best = max(gains, key=lambda name: gains[name].value or 0)
    assert f"AUROC {plain.value:.2f} [{plain.low:.2f}, {plain.high:.2f}]" in words
    assert f"the best of 2 scores, {best}, changes that by {gain_text(gains[best])}" in words
    most = max(gain.high or 0 for gain in gains.values())
    assert words.endswith(f"; up to +{most:.2f} can't be excluded." if most >= 0.02 else "].")


def test_a_gap_that_a_control_shows_as_well_is_the_labels(rng: np.random.Generator) -> None:
    said = predictions(CORRECT, normal(rng, 1.5))
    strong = (0.78, 0.7, 0.85)

    def one(name: str, *label: float) -> Finding:
        return findings(said, {name: normal(rng, 0)}, {name: label})[0]  # type: ignore[dict-item]

    method, noise = one("saliency/add", *strong), one("noise/add", 0.85, 0.80, 0.90)
    image = one("image/add", 0.80, 0.75, 0.85)
    assert equalling_control(method, [method, image, noise]) is noise
    suffix = "; the gap is the label's: noise shows it too (AUROC 0.85)"
    assert verdict(method, [method, noise, image]).endswith(suffix)
    # A control that separates less well, the other way round, elsewhere, or not at all, does not show it.
    weaker, reverse = one("noise/add", 0.60, 0.53, 0.67), one("noise/add", 0.11, 0.07, 0.16)
    elsewhere, blind = one("noise/multiply", 0.85, 0.80, 0.90), one("noise/add", 0.79, 0.45, 0.95)
    for control in (weaker, reverse, elsewhere, blind, one("zero/add", 0.85, 0.80, 0.90)):
        words = verdict(method, [method, control])
        assert words.endswith("; the gap needs the label (AUROC 0.78 with it)")
    gapless = replace(method, auroc_label=Figure(0.55, 0.48, 0.62, N))
    assert "the gap" not in verdict(gapless, [gapless, noise])
    knowing = findings(said, {"deeplift/add": normal(rng, 2)}, {"deeplift/add": strong})[0]
    assert "the gap" not in verdict(knowing, [knowing, weaker])


def test_what_a_control_shows(rng: np.random.Generator) -> None:
    said = predictions(CORRECT, normal(rng, 0.5))
    label = {"noise/add": (0.11, 0.07, 0.16), "shuffled/add": (0.52, 0.45, 0.59)}
    scores = {
        "saliency/add": normal(rng, 2),
        "noise/add": normal(rng, 0),
        "shuffled/add": normal(rng, 0),
        "image/add": normal(rng, 2),
        "image/multiply": normal(rng, 2),
    }
    method, noise, blind, knowing, elsewhere = findings(said, scores, label)
    assert control_verdict(noise) == (
        "control: separates with the label at AUROC 0.11; so the label alone makes a gap"
    )
    assert control_verdict(blind) == "control: does not separate with the label (AUROC 0.52)"
    assert "adds to confidence (AUROC +0." in control_verdict(knowing)
    shadowed = audit([method, knowing])
    assert shadowed.startswith("No heatmap here says anything")
    assert "but image/add, which explains nothing, by +0." in shadowed
    assert "but so does the control image (+0." in verdict(method, [method, knowing])
    assert code(method, [method, knowing]) == "control_too"
    assert conclusion(method, [method, knowing], {})["equalled_by"] == "image/add"
    assert conclusion(method, [method, noise], {})["equalled_by"] is None
    assert audit([method, noise]).startswith("The one score tested says something")
    # Under the other operation, or at another scale, a control's success says nothing about this one.
    assert discoveries([method, elsewhere]) == [method]
    assert discoveries([method, replace(knowing, scale=0.3)]) == [method]


def test_no_control_answers_for_an_indicator(rng: np.random.Generator) -> None:
    said = predictions(CORRECT, normal(rng, 0.5))
    indicator, image = findings(said, {"mine:told": normal(rng, 2), "image/add": normal(rng, 2)})
    assert (indicator.operation, indicator.method) == ("", "mine:told")
    assert code(indicator, [indicator, image]) == "adds"
    words = audit(findings(said, {"mine:told": normal(rng, 0)}))
    assert words.startswith("No heatmap or indicator here says anything")


def test_a_zero_heatmap_with_a_score_breaks_the_audit(rng: np.random.Generator) -> None:
    said = predictions(CORRECT, normal(rng, 1.5))
    method, zero = findings(said, {"saliency/add": normal(rng, 3), "zero/add": np.zeros(N)})
    sound, unsound = (replace(zero, largest_co=largest) for largest in (1e-7, 1e-3))
    assert "BROKEN" not in control_verdict(sound) + audit([method, sound])
    for words in (control_verdict(unsound), audit([method, unsound])):
        assert words.startswith("BROKEN AUDIT")
        assert "0.001" in words
    assert code(unsound, [method, unsound]) == "broken"
    few = replace(unsound, n_correct=3, n_wrong=0)
    assert control_verdict(few).startswith("BROKEN AUDIT")
    assert audit_verdict([few], 3, 3, 0).startswith("BROKEN AUDIT")
    # multiplied, a zero heatmap makes a blank picture, whose score is anything
    blank = replace(zero, name="zero/multiply", operation="multiply", auroc_label=Figure(0.2, 0.1, 0.3, N))
    assert control_verdict(blank).startswith("control: separates with the label at AUROC 0.20")
    assert "BROKEN" not in audit([method, blank])


@pytest.mark.parametrize(
    ("n_correct", "n_wrong", "words", "kind"),
    [
        (288, 12, "too few errors to say (12)", "too_few"),
        (12, 288, "too few correct images to say (12)", "too_few"),
        (271, 29, "too few errors to say (29)", "too_few"),
        (0, 0, "no labels: without them only label-free figures can be given", "no_labels"),
    ],
)
def test_too_few_images_to_say(
    rng: np.random.Generator, n_correct: int, n_wrong: int, words: str, kind: str
) -> None:
    (strong,) = findings(predictions(CORRECT, normal(rng, 0)), {"saliency/add": normal(rng, 3)})
    method = replace(strong, n_correct=n_correct, n_wrong=n_wrong, added=None)
    control = replace(method, name="noise/add", control=True)
    assert verdict(method, [method, control]) == words
    assert code(method, [method, control]) == kind
    assert control_verdict(control) == f"control: {words}"
    assert not discoveries([method])
    assert audit_verdict([method], 300, n_correct, n_wrong)[1:].startswith(
        words[1:] if n_wrong else "ithout labels"
    )


@pytest.mark.parametrize(("wrong", "enough"), [(30, True), (29, False)])
def test_thirty_of_each_are_enough(rng: np.random.Generator, wrong: int, enough: bool) -> None:
    correct = np.arange(wrong + 40) >= wrong
    said = predictions(correct, rng.normal(size=len(correct)))
    (one,) = findings(said, {"saliency/add": rng.normal(3.0 * correct)})
    assert (one.added is not None) == enough
    assert verdict(one, [one]).startswith("adds" if enough else "too few errors to say (29)")


def test_a_score_that_failed_everywhere_takes_no_part(rng: np.random.Generator) -> None:
    (fine,) = findings(predictions(CORRECT, normal(rng, 1)), {"saliency/add": normal(rng, 0)})
    lost = replace(fine, name="deeplift/add", n=0, n_correct=0, n_wrong=0, added=None, largest_co=0.0)
    assert verdict(lost, [fine, lost]) == "nothing to say: no image could be used"
    assert "the best of 1 scores, saliency/add, changes" in audit([fine, lost])
    assert audit_verdict([lost], 0, 0, 0) == "Nothing to say: no image could be used."
    assert audit([lost]).startswith("No score could be compared")
