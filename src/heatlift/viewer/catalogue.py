"""A run's images as the viewer knows them: read part by part in the background, and again while it grows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heatlift.errors import HeatliftError, first_line
from heatlift.json_object import read_json
from heatlift.run.record import read_record
from heatlift.run.tables import NEWER, SCHEMAS, part_path, parts, read_part
from heatlift.viewer.audit_columns import TABLES as AUDIT_TABLES
from heatlift.viewer.audit_columns import audit_columns
from heatlift.viewer.columns import Choice, Column, joined
from heatlift.viewer.confined import confined
from heatlift.viewer.keeping import keeping, kept_images
from heatlift.viewer.optimised_columns import LIFT_TABLES, MASK_TABLES, lift_columns, mask_columns

Read = Callable[[Mapping[str, pa.Table], pa.Array, Sequence[str] | None], dict[str, Column]]

KINDS: Mapping[str, tuple[Mapping[str, list[str]], Read]] = {
    "audit": (AUDIT_TABLES, audit_columns),
    "lift": (LIFT_TABLES, lift_columns),
    "undesirable": (MASK_TABLES, mask_columns),
}
"""What is read of each kind of run, and how it becomes columns."""

FIRST, TOGETHER = 8, 128
"""Parts read before something is shown, and at a time after that."""

PAUSE = 1.0
"""Seconds between looks at a run that is still being written."""


@dataclass(frozen=True)
class Images:
    """Images of a run in its order, as one state of what has been read.

    Attributes:
        part: the part of each image, and ``place`` where it is in it: together its id, which stays.
        names: (n,) strings.
        columns: by key.
        places: position of each name.
    """

    part: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    names: pa.Array
    columns: Mapping[str, Column]
    positions: Mapping[str, int] = field(repr=False)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.names)

    def id(self, position: int) -> str:
        """How an image is addressed: it has no part in its name or path."""
        return f"{self.part[position]}.{self.place[position]}"

    def position(self, identity: str) -> int:
        """Where an image is, by its id.

        Raises:
            HeatliftError: no such image.
        """
        part, _, place = identity.partition(".")
        if part.isdecimal() and place.isdecimal() and len(identity) < 20:
            found = np.flatnonzero((self.part == int(part)) & (self.place == int(place)))
            if len(found):
                return int(found[0])
        raise HeatliftError("no such image in this run: it may not have been read yet")


NONE = Images(np.zeros(0, np.int64), np.zeros(0, np.int64), pa.array([], pa.string()), {}, {})


@dataclass(frozen=True)
class _Block:
    """What some parts hold."""

    part: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    names: pa.Array
    columns: Mapping[str, Column]


class Catalogue:
    """One run, open for looking.

    Attributes:
        folder: the run's.
        record: ``run.json``.
        summary: ``summary.json``; None until the run is finished.
        images: what has been read so far; replaced as a whole when there is more.
        problems: what could not be read, by file.

    Raises:
        HeatliftError: not the folder of a run, or of a kind that is not known.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = read_record(confined(folder, folder / "run.json").parent)
        self.kind = str(self.record.get("kind") or "audit")
        if self.kind not in KINDS:
            raise HeatliftError(f"{folder} is a run of another kind, '{self.kind}'")
        self.tables, self._columns = KINDS[self.kind]
        self.classes = class_names(self.record)
        self.summary: dict[str, Any] | None = None
        self.images = NONE
        self.problems: dict[str, str] = {}
        self.progress: tuple[int, int] | None = (0, 1)
        self._blocks: list[_Block] = []
        self._done: set[int] = set()
        self._torn: dict[int, object] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def finished(self) -> bool:
        """Whether the run says that it is."""
        return self.record.get("status") == "finished"

    def multiplies(self, name: str) -> bool:
        """Whether an image's heatmap is multiplied with it."""
        operation = self.images.columns.get("operation")
        position = self.images.positions.get(name)
        return (
            isinstance(operation, Choice) and position is not None and operation.title(position) == "multiply"
        )

    def read(self) -> None:
        """Read what is there now, all of it."""
        self._refresh()
        self.progress = None

    def watch(self) -> None:
        """Begin to read in the background, until `close`."""
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        """Read until the run is finished, and look again whenever it is gone on with."""
        stamp: object = None
        while not self._stop.is_set():
            now = _stamp(self.folder / "run.json")
            if now != stamp or not self.finished:
                stamp = now
                try:
                    self._refresh()
                except Exception as error:  # a page that goes on with what it has beats a thread that died
                    self.problems["run"] = f"can't be read any further: {first_line(error)}"
                self.progress = None
            self._stop.wait(PAUSE)

    def _refresh(self) -> None:
        try:
            self.record = read_record(confined(self.folder, self.folder / "run.json").parent)
            self.problems.pop("run.json", None)
        except HeatliftError as error:
            self.problems["run.json"] = str(error)
        self._read_summary()
        needed = [table for table in self.tables if table not in NEWER]
        there = set.intersection(*(parts(self.folder, table) for table in needed))
        stamps = {part: self._stamps(part) for part in there - self._done}
        new = sorted(part for part, stamp in stamps.items() if self._torn.get(part) != stamp)
        later = [new[start : start + TOGETHER] for start in range(FIRST, len(new), TOGETHER)]
        for group in filter(None, [new[:FIRST], *later]):
            if self._stop.is_set():
                return
            if not self.finished or len(self._done) < len(there):
                self.progress = (len(self._done), len(there))
            self._read(group, stamps)
        if not new and len(self.images):
            self._mark_kept()

    def _stamps(self, part: int) -> object:
        return [_stamp(part_path(self.folder, table, part)) for table in self.tables]

    def _read(self, group: Sequence[int], stamps: Mapping[int, object]) -> None:
        read: list[tuple[int, dict[str, pa.Table]]] = []
        for part in group:
            try:
                read.append((part, self._part(part)))
                for table in self.tables:
                    self.problems.pop(self._named(table, part), None)
            except HeatliftError:
                self._torn[part] = stamps[part]
        if read:
            try:
                self._add(read)
            except (pa.ArrowException, ValueError, LookupError, TypeError) as error:
                # Of parts that can't be put together each is tried alone, so that only the bad ones are lost.
                if len(read) > 1:
                    for part, _ in read:
                        self._read([part], stamps)
                    return
                self._torn[read[0][0]] = stamps[read[0][0]]
                self.problems[f"part {read[0][0]}"] = f"part {read[0][0]} is left out: {first_line(error)}"

    def _part(self, part: int) -> dict[str, pa.Table]:
        found = {}
        for table, names in self.tables.items():
            path = part_path(self.folder, table, part)
            try:
                if table in NEWER and not path.exists():
                    raise FileNotFoundError
                found[table] = read_part(confined(self.folder, path), table, names)
            except FileNotFoundError:
                found[table] = SCHEMAS[table].empty_table().select(names)
            except HeatliftError as error:
                self.problems[self._named(table, part)] = str(error)
                raise
        return found

    def _named(self, table: str, part: int) -> str:
        return str(part_path(self.folder, table, part).relative_to(self.folder))

    def _add(self, read: Sequence[tuple[int, dict[str, pa.Table]]]) -> None:
        tables = {name: pa.concat_tables([found[name] for _, found in read]) for name in self.tables}
        first = next(iter(self.tables))
        names = [pc.unique(found[first]["image"].drop_null().combine_chunks()) for _, found in read]
        lengths = [len(each) for each in names]
        images = pa.concat_arrays(names)
        # Images are taken to be in one part only; of one that is in several the first counts.
        images = pc.unique(images)
        part = np.repeat([part for part, _ in read], lengths)
        place = np.concatenate([np.arange(length) for length in lengths])
        if len(images) != len(part):
            raise ValueError("an image is in more than one part")
        block = _Block(part, place, images, self._columns(tables, images, self.classes))
        self._blocks.append(block)
        self._blocks = [self._joined(self._blocks)]
        self._done.update(part for part, _ in read)
        self._publish()

    def _joined(self, blocks: Sequence[_Block]) -> _Block:
        lengths = [len(block.names) for block in blocks]
        columns = joined([block.columns for block in blocks], lengths)
        return _Block(
            np.concatenate([block.part for block in blocks]),
            np.concatenate([block.place for block in blocks]),
            pa.concat_arrays([block.names for block in blocks]),
            columns,
        )

    def _publish(self) -> None:
        (block,) = self._blocks
        positions = {name: position for position, name in enumerate(block.names.to_pylist())}
        self.images = Images(block.part, block.place, block.names, block.columns, positions)
        self._mark_kept()

    def _mark_kept(self) -> None:
        """Note which images have heatmaps to look at; those of an audit come at its end."""
        images = self.images
        kept, damaged = kept_images(self.folder, self.kind, images.names.to_pylist())
        self.problems = {key: text for key, text in self.problems.items() if not key.startswith("examples/")}
        self.problems |= damaged
        columns = {**images.columns, "kept": keeping(kept)}
        self.images = Images(images.part, images.place, images.names, columns, images.positions)

    def _read_summary(self) -> None:
        path = self.folder / "summary.json"
        if not path.exists():
            return
        try:
            self.summary = read_json(confined(self.folder, path))
            self.problems.pop("summary.json", None)
        except HeatliftError as error:
            self.problems["summary.json"] = str(error)


def class_names(record: Mapping[str, Any]) -> Sequence[str] | None:
    """The names of the network's outputs, where the run knows them."""
    model = record.get("model")
    names = model.get("classes") if isinstance(model, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else None


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
