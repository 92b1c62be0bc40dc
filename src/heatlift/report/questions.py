"""The questions that an audit's report answers, each with its figures and tables."""

from __future__ import annotations

from dataclasses import dataclass

from heatlift.report import plates
from heatlift.report.class_plates import class_plates
from heatlift.report.improvement_plates import improvement_plates
from heatlift.report.layer_plates import layer_plates
from heatlift.report.plate import Plate
from heatlift.report.plates import ScoresOf
from heatlift.report.question_tables import added_table, improvement_table, signals_table
from heatlift.report.risk_plates import risk_plate
from heatlift.report.summary import Audit
from heatlift.report.tables import Table


@dataclass(frozen=True)
class Question:
    """A section of the report: a question, why it is asked, and what answers it.

    ``identity`` is its place in the page and ``short`` its name in the navigation; tables carry their own.
    """

    identity: str
    short: str
    title: str
    lede: str
    plates: tuple[Plate, ...]
    tables: tuple[tuple[str, Table], ...] = ()


TELLING = (
    "A score that knows when the classifier is wrong ranks correct images above wrong ones. It has to "
    "do so without the label, which nobody has in use, and better than the classifier’s own "
    "probability, which costs nothing."
)
GAPS = (
    "The CO score says how much the heatmap, added to the image or multiplied with it, raises one class "
    "against all others. Published boxplots score the true label. Part of their gap between correct and "
    "wrong predictions is there by construction: for a wrong prediction the heatmap explains one class "
    "and is scored for another. The same heatmaps scored for the predicted class stand beside them, on "
    "the same axis, and the controls below the rule carry no explanation at all."
)
CLASSES = (
    "Where most errors fall in few classes, a score that only recognises those classes separates "
    "correct from wrong. Among images predicted to be one class, that is of no use to it."
)
HELPING = (
    "A heatmap that helps would raise the probability of the label when it is applied, most of all "
    "where the classifier is wrong. A heatmap of the predicted class strengthens the prediction, right "
    "or wrong: look at both colours."
)
LAYERS = (
    "The same heatmap taken at one stage of the network after the other, from fine maps to coarse ones. "
    "A stage that differs from its neighbours by less than the intervals differs by chance."
)


def questions(audit: Audit, scores: ScoresOf, led: frozenset[str]) -> tuple[Question, ...]:
    """Those that this run has something to say about, without the figures that the first screen shows."""
    asked = (
        _telling(audit, led),
        _gaps(audit, scores),
        Question("classes", "Classes", "Does it hold within each class?", CLASSES, class_plates(audit)),
        Question(
            "helping",
            "Helping",
            "Does the heatmap help the classifier?",
            HELPING,
            improvement_plates(audit),
            _named(("improvement", improvement_table(audit))),
        ),
        Question("layers", "Layers", "Which layer?", LAYERS, layer_plates(audit)),
    )
    return tuple(question for question in asked if question.plates or question.tables)


def _telling(audit: Audit, led: frozenset[str]) -> Question:
    found = (plates.auroc_plate(audit), risk_plate(audit))
    return Question(
        "telling",
        "Correct from wrong",
        "What tells correct from wrong?",
        TELLING,
        tuple(plate for plate in found if plate is not None and plate.identity not in led),
        _named(("signals", signals_table(audit)), ("added-values", added_table(audit))),
    )


def _gaps(audit: Audit, scores: ScoresOf) -> Question:
    labelled = audit.count("labelled") > 0
    return Question(
        "scores",
        "Gaps" if labelled else "CO scores",
        "Are the published gaps real?" if labelled else "What are the CO scores?",
        GAPS if labelled else "",
        plates.box_plates(audit, scores),
    )


def _named(*tables: tuple[str, Table | None]) -> tuple[tuple[str, Table], ...]:
    return tuple((name, table) for name, table in tables if table is not None)
