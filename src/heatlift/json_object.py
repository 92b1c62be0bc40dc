"""A JSON object from a file, or one line that says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from heatlift.errors import HeatliftError, first_line


class Damaged(HeatliftError):
    """A file that can't be read, or holds something else."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        Damaged: it can't be read, or is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Damaged(f"{path} can't be read: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise Damaged(f"{path} is damaged: it holds no JSON object")
    return content
