"""Names from a run as Markdown shows them: none of them becomes markup."""

from __future__ import annotations

import re

SPECIAL = re.compile(r"[\\`*|~$]|(?<!\w)_|_(?!\w)|\](?=[(\[:])")
"""What Markdown reads as markup; an underscore within a word and a bracket without a link are text."""

ELEMENT = re.compile(r"<(?=[A-Za-z/!?])")
ENTITY = re.compile(r"&(?=#?\w+;)")


def escaped(text: str) -> str:
    r"""One line whose characters are read neither as Markdown nor as HTML.

    >>> print(escaped("a|b <i> *c* 0.5 [0.4, 0.6] [d](e) f_g"))
    a\|b &lt;i> \*c\* 0.5 [0.4, 0.6] [d\](e) f_g
    """
    line = ELEMENT.sub("&lt;", ENTITY.sub("&amp;", " ".join(text.split())))
    return SPECIAL.sub(lambda found: f"\\{found[0]}", line)
