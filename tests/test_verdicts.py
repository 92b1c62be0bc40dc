"""The verdicts' rules, on constructed audits whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heatlift.comparison import compare_aurocs
from heatlift.run.evidence import Finding, discoveries, equalling_control
from heatlift.run.verdicts import audit_verdict, control_verdict, method_verdict
from heatlift.statistics import Figure

N, WRONG = 400, 100
CORRECT = np.arange(N) >= WRONG


def normal(rng: np.random.Generator, shift: float) -> np.ndarray:
    """A score whose AUROC is Phi(shift / sqrt 2) in truth."""
    return rng.normal(shift * CORRECT)


def finding(
    name: str, score: np.ndarray, confidence: np.ndarray, label: tuple[float, float, float] = (0.5, 0.4, 0.6)
) -> Finding:
    method, operation = name.split("/")
    return Finding(
        method=method,
        operation=operation,
        control=method in ("zero", "noise", "shuffled", "image"),
        n=N,
        n_correct=N - WRONG,
        n_wrong=WRONG,
        auroc_label=Figure(*label, N),
        compared=compare_aurocs(score, confidence, CORRECT, resamples=200),
        largest_co=10.0,
    )


def audit(findings: list[Finding]) -> str:
    return audit_verdict(findings, N, N - WRONG, WRONG)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [1.5, 0.0])
def test_noise_is_hardly_ever_a_discovery(shift: float) -> None:
    """Twelve scores of pure noise beside a good confidence, and beside one that is noise itself."""
    found = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        confidence = normal(rng, shift)
        findings = [finding(f"m{i}/add", normal(rng, 0), confidence) for i in range(12)]
        kept = discoveries(findings)
        found += bool(kept)
        assert ("tested were found to say more" in audit(findings)) == bool(kept)
        told = [method_verdict(one, findings) for one in findings]
        assert any(words.startswith("tells more") for words in told) == bool(kept)
    assert found <= 5


def test_a_planted_signal_is_found() -> None:
    """A score of AUROC 0.92 beside a confidence of 0.76, among eleven of noise."""
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        confidence = normal(rng, 1)
        findings = [finding(f"m{i}/add", normal(rng, 0), confidence) for i in range(11)]
        findings.append(finding("planted/add", normal(rng, 2), confidence))
        if set(discoveries(findings)) == {"planted/add"}:
            found += 1
            assert method_verdict(findings[-1], findings).startswith("tells more than confidence does: +0.")
            assert "1 of 12 label-free scores tested were found to say more" in audit(findings)
            assert "planted/add, the best, has 0." in audit(findings)
    assert found >= 38


def test_a_signal_read_backwards_is_found_and_called_so(rng: np.random.Generator) -> None:
    findings = [finding("planted/add", -normal(rng, 2), normal(rng, 0.5))]
    told = method_verdict(findings[0], findings)
    assert told.startswith("tells more than confidence does read backwards (a low score means correct): +0.")
    assert "read backwards" in audit(findings)


def test_what_many_looks_would_find_by_luck_is_not_claimed(rng: np.random.Generator) -> None:
    confidence = normal(rng, 1)
    lucky = finding("lucky/add", normal(rng, 1.1), confidence)
    assert lucky.compared is not None
    compared = replace(
        lucky.compared,
        score=Figure(0.8, 0.75, 0.85, N),
        difference=Figure(0.03, 0.002, 0.06, N),
        p=0.03,
    )
    lucky = replace(lucky, compared=compared)
    alone = method_verdict(lucky, [lucky])
    assert alone == "tells more than confidence does: +0.030 [0.002, 0.060]"
    others = [finding(f"m{i}/add", normal(rng, 0), confidence) for i in range(5)]
    among = method_verdict(lucky, [lucky, *others])
    assert among == (
        "tells no more than confidence does: +0.030 [0.002, 0.060], but p = 0.18 (Holm, 6 tested)"
    )
    assert audit([lucky, *others]).startswith("No heatmap here was found to say more")


def test_less_and_no_more(rng: np.random.Generator) -> None:
    confidence = normal(rng, 1.5)
    less = finding("weak/add", normal(rng, 0.1), confidence)
    assert less.compared is not None
    value, against = less.compared.score.value, less.compared.baseline.value
    assert method_verdict(less, [less]) == (
        f"tells less than confidence does: AUROC {value:.2f} against {against:.2f}"
    )
    unsure = replace(less.compared, difference=Figure(-0.01, -0.05, 0.03, N))
    told = method_verdict(replace(less, compared=unsure), [less])
    assert told == f"tells no more than confidence does: AUROC {value:.2f} against {against:.2f}"


def test_a_score_that_is_as_good_backwards_does_not_tell_less(rng: np.random.Generator) -> None:
    confidence = normal(rng, 1.5)
    negated = finding("backward/add", -confidence, confidence)
    told = method_verdict(negated, [negated])
    assert negated.compared is not None
    plain = negated.compared.baseline.value
    assert told == (
        f"tells no more than confidence does: AUROC {1 - plain:.2f} ({plain:.2f} read backwards) "
        f"against {plain:.2f}"
    )


def test_the_best_score_and_confidence_are_named(rng: np.random.Generator) -> None:
    confidence = normal(rng, 1.5)
    findings = [finding("weak/add", normal(rng, 0.1), confidence)]
    findings.append(finding("better/multiply", normal(rng, 0.8), confidence))
    findings.append(finding("noise/add", normal(rng, 1.4), confidence))
    words = audit(findings)
    assert words.startswith("No heatmap here was found to say more about correctness than plain confidence")
    assert findings[1].compared is not None
    best, plain = findings[1].compared.score, findings[1].compared.baseline
    assert f"AUROC {plain.value:.2f} [{plain.low:.2f}, {plain.high:.2f}]" in words
    assert f"the best label-free score of 2 tested, better/multiply, has {best.value:.2f} [" in words


def test_a_gap_that_a_control_shows_as_well_is_the_labels(rng: np.random.Generator) -> None:
    confidence = normal(rng, 1.5)
    strong, weak = (0.78, 0.7, 0.85), (0.60, 0.53, 0.67)
    method = finding("saliency/add", normal(rng, 0), confidence, strong)
    noise = finding("noise/add", normal(rng, 0), confidence, (0.85, 0.80, 0.90))
    image = finding("image/add", normal(rng, 0), confidence, (0.80, 0.75, 0.85))
    assert equalling_control(method, [method, image, noise]) is noise
    suffix = "; the gap is the label's: noise shows it too (AUROC 0.85)"
    assert method_verdict(method, [method, noise, image]).endswith(suffix)
    # A control that separates less well, the other way round, elsewhere, or not at all, does not show it.
    weaker = finding("noise/add", normal(rng, 0), confidence, weak)
    reverse = finding("noise/add", normal(rng, 0), confidence, (0.11, 0.07, 0.16))
    elsewhere = finding("noise/multiply", normal(rng, 0), confidence, (0.85, 0.80, 0.90))
    blind = finding("noise/add", normal(rng, 0), confidence, (0.79, 0.45, 0.95))
    zero = finding("zero/add", np.zeros(N), confidence, (0.85, 0.80, 0.90))
    for control in (weaker, reverse, elsewhere, blind, zero):
        words = method_verdict(method, [method, control])
        assert words.endswith("; the gap needs the label (AUROC 0.78 with it)")
    gapless = replace(method, auroc_label=Figure(0.55, 0.48, 0.62, N))
    assert "the gap" not in method_verdict(gapless, [gapless, noise])
    knowing = finding("deeplift/add", normal(rng, 2), confidence, strong)
    assert "the gap" not in method_verdict(knowing, [knowing, weaker])


def test_what_a_control_shows(rng: np.random.Generator) -> None:
    confidence = normal(rng, 1.5)
    noise = finding("noise/add", normal(rng, 0), confidence, (0.11, 0.07, 0.16))
    assert control_verdict(noise) == (
        "control: separates with the label at AUROC 0.11; so the label alone makes a gap"
    )
    blind = finding("shuffled/add", normal(rng, 0), confidence, (0.52, 0.45, 0.59))
    assert control_verdict(blind) == "control: does not separate with the label (AUROC 0.52)"
    knowing = finding("image/add", normal(rng, 3), confidence)
    assert "tells more than confidence does" in control_verdict(knowing)
    method = finding("saliency/add", normal(rng, 3), confidence)
    shadowed = audit([method, knowing])
    assert shadowed.startswith("No heatmap here was found to say more")
    assert "but so has image/add, which explains nothing" in shadowed
    assert method_verdict(method, [method, knowing]).endswith(
        "the control image: it is not the heatmap's doing"
    )
    assert audit([method, noise]).startswith("1 of 1 label-free scores tested were found to say more")
    # Under the other operation a control's success says nothing about this one.
    elsewhere = finding("image/multiply", normal(rng, 3), confidence)
    assert discoveries([method, elsewhere]).keys() == {"saliency/add"}


def test_a_zero_heatmap_with_a_score_breaks_the_audit(rng: np.random.Generator) -> None:
    confidence = normal(rng, 1.5)
    method = finding("saliency/add", normal(rng, 3), confidence)
    zero = finding("zero/add", np.zeros(N), confidence)
    sound, unsound = (replace(zero, largest_co=largest) for largest in (1e-7, 1e-3))
    assert "BROKEN" not in control_verdict(sound) + audit([method, sound])
    for words in (control_verdict(unsound), audit([method, unsound])):
        assert words.startswith("BROKEN AUDIT")
        assert "0.001" in words
    few = replace(unsound, n_correct=3, n_wrong=0)
    assert control_verdict(few).startswith("BROKEN AUDIT")
    assert audit_verdict([few], 3, 3, 0).startswith("BROKEN AUDIT")
    # multiplied, a zero heatmap makes a blank picture, whose score is anything
    blank = replace(zero, operation="multiply", auroc_label=Figure(0.2, 0.1, 0.3, N))
    assert control_verdict(blank).startswith("control: separates with the label at AUROC 0.20")
    assert "BROKEN" not in audit([method, blank])


@pytest.mark.parametrize(
    ("n_correct", "n_wrong", "words"),
    [
        (288, 12, "too few errors to say (12)"),
        (12, 288, "too few correct images to say (12)"),
        (271, 29, "too few errors to say (29)"),
        (0, 0, "no labels: without them only label-free figures can be given"),
    ],
)
def test_too_few_images_to_say(rng: np.random.Generator, n_correct: int, n_wrong: int, words: str) -> None:
    strong = finding("saliency/add", normal(rng, 3), normal(rng, 0), (0.9, 0.8, 1.0))
    method = replace(strong, n_correct=n_correct, n_wrong=n_wrong)
    control = replace(method, method="noise", control=True)
    assert method_verdict(method, [method, control]) == words
    assert control_verdict(control) == f"control: {words}"
    assert not discoveries([method])
    assert audit_verdict([method], 300, n_correct, n_wrong)[1:].startswith(
        words[1:] if n_wrong else "ithout labels"
    )


def test_thirty_of_each_are_enough(rng: np.random.Generator) -> None:
    strong = finding("saliency/add", normal(rng, 3), normal(rng, 0))
    method = replace(strong, n_correct=30, n_wrong=30)
    assert method_verdict(method, [method]).startswith("tells more")


def test_a_pair_that_failed_everywhere_takes_no_part(rng: np.random.Generator) -> None:
    fine = finding("saliency/add", normal(rng, 0), normal(rng, 1))
    lost = replace(fine, method="deeplift", n=0, n_correct=0, n_wrong=0, compared=None, largest_co=0.0)
    assert method_verdict(lost, [fine, lost]) == "nothing to say: no image could be used"
    assert "the best label-free score of 1 tested, saliency/add, has" in audit([fine, lost])
    assert audit_verdict([lost], 0, 0, 0) == "Nothing to say: no image could be used."
    assert audit([lost]).startswith("No heatmap method could be compared")
