"""Class names: what a person may write for an output."""

from __future__ import annotations

import pytest

from heatlift.class_names import ClassNames, chosen_output, imagenet_output
from heatlift.errors import HeatliftError

# As in ImageNet, where some names belong to two classes.
CLASSES = [
    "tabby, tabby cat",
    "crane",
    "crane",
    "Cardigan, Cardigan Welsh corgi",
    "cardigan",
    "caf\u00e9 au lait",
]


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("tabby, tabby cat", (0,)),
        ("tabby", (0,)),
        ("Tabby", (0,)),
        ("tabby cat", ()),
        ("crane", (1, 2)),
        ("Cardigan", (3,)),
        ("cardigan", (4,)),
        ("CARDIGAN", (3, 4)),
        ("Cafe\u0301-AU_lait", (5,)),
        ("tiger", ()),
        ("", ()),
    ],
)
def test_outputs(name: str, outputs: tuple[int, ...]) -> None:
    assert ClassNames(CLASSES).outputs(name) == outputs


def test_imagenet_indices_are_the_sorted_wnids() -> None:
    """ImageNet-1k numbers its classes in the order of their wnids."""
    wnids = ["n01440764", "n01443537", "n02123045", "n07747607", "n15075141"]
    assert [imagenet_output(wnid) for wnid in wnids] == [0, 1, 281, 950, 999]
    assert imagenet_output("n00000001") is None


def test_the_first_words_of_a_description_name_it_but_no_part_of_a_word() -> None:
    classes = ("dogsled, dog sled", "Siberian husky", "tabby, tabby cat")
    assert chosen_output("siberian", 3, classes) == 1
    assert chosen_output("dog", 3, classes) == 0  # "dog sled"
    with pytest.raises(HeatliftError, match="no class 'dogs'"):
        chosen_output("dogs", 3, classes)
    with pytest.raises(HeatliftError, match="no class 'sib'"):
        chosen_output("sib", 3, classes)
    with pytest.raises(
        HeatliftError, match=r"'great' may be great grey \(0\), great white \(1\): give the number"
    ):
        chosen_output("great", 2, ("great grey", "great white, white shark"))
