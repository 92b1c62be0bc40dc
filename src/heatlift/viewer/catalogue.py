"""A run as the viewer knows it: read part by part in the background, and again while it grows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heatlift.errors import HeatliftError, first_line
from heatlift.json_object import read_json
from heatlift.run.record import read_record
from heatlift.run.tables import NEWER, part_path
from heatlift.viewer import parts
from heatlift.viewer.audit_columns import TABLES as AUDIT_TABLES
from heatlift.viewer.audit_columns import audit_columns
from heatlift.viewer.columns import Choice, Column, class_names
from heatlift.viewer.confined import LARGEST_TEXT, confined, stamp, without_folder
from heatlift.viewer.images import NONE, Images
from heatlift.viewer.keeping import keeping, kept_images, store
from heatlift.viewer.optimised_columns import LIFT_TABLES, MASK_TABLES, lift_columns, mask_columns
from heatlift.viewer.thumbnails import Thumbnails

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


class Catalogue:
    """One run, open for looking.

    Attributes:
        folder: the run's.
        record: ``run.json``.
        summary: ``summary.json``; None until the run is finished.
        images: what has been read so far; replaced as a whole when there is more.
        thumbnails: the small pictures.
        problems: what could not be read, by what it is about.
        progress: parts read and all of them, while they are read; else None.

    Raises:
        HeatliftError: not the folder of a run, or of a kind that is not known.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = self._read_record()
        self.kind = str(self.record.get("kind") or "audit")
        if self.kind not in KINDS:
            raise HeatliftError(f"{folder} is a run of another kind, '{self.kind}'")
        self.tables, self._columns = KINDS[self.kind]
        self.classes = class_names(self.section("model").get("classes"))
        self.summary: dict[str, Any] | None = None
        self.images = NONE
        self.thumbnails = Thumbnails(folder)
        self.problems: dict[str, str] = {}
        self.progress: tuple[int, int] | None = (0, 1)
        self._done: set[int] = set()
        self._torn: dict[int, object] = {}
        self._kept: object = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def finished(self) -> bool:
        """Whether the run says that it is."""
        return self.record.get("status") == "finished"

    def section(self, name: str) -> Mapping[str, Any]:
        """What ``run.json`` says about something; nothing where it is missing or damaged."""
        found = self.record.get(name)
        return found if isinstance(found, dict) else {}

    def multiplies(self, name: str) -> bool:
        """Whether an image's heatmap is multiplied with it."""
        images = self.images
        operation, position = images.columns.get("operation"), images.positions.get(name)
        return (
            isinstance(operation, Choice) and position is not None and operation.title(position) == "multiply"
        )

    def read(self) -> None:
        """Read what is there now, all of it."""
        self._refresh()
        self.progress = None

    def watch(self) -> None:
        """Begin to read in the background, until `close`."""
        self._thread = threading.Thread(target=self._watch, name=f"reads {self.folder}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(PAUSE)  # of a slow disk's file is not waited for

    def _watch(self) -> None:
        """Read until the run is finished, and look again whenever it is gone on with."""
        seen: object = None
        while not self._stop.is_set():
            now = stamp(self.folder / "run.json")
            if now != seen or not self.finished:
                if now != seen:
                    self._kept = None
                seen = now
                try:
                    self._refresh()
                    self.problems.pop("run", None)
                except Exception as error:  # a page that goes on with what it has beats a thread that died
                    self.problems["run"] = f"can't be read any further: {first_line(error)}"
                self.progress = None
            self._stop.wait(PAUSE)

    def _refresh(self) -> None:
        self._tried("run.json", lambda: setattr(self, "record", self._read_record()))
        self._tried("summary.json", self._read_summary)
        needed = [table for table in self.tables if table not in NEWER]
        there = set.intersection(*(parts.numbers(self.folder, table) for table in needed))
        stamps = {part: self._stamps(part) for part in there - self._done}
        new = sorted(part for part, now in stamps.items() if self._torn.get(part) != now)
        later = [new[start : start + TOGETHER] for start in range(FIRST, len(new), TOGETHER)]
        for group in filter(None, [new[:FIRST], *later]):
            self.progress = (len(self._done), len(there))
            self._read(group, stamps)
            if self._stop.is_set():
                return
            if group[0] == new[0]:
                self._mark_kept()
        self._mark_kept()

    def _stamps(self, part: int) -> object:
        return [stamp(part_path(self.folder, table, part)) for table in self.tables]

    def _read(self, group: Sequence[int], stamps: Mapping[int, object]) -> None:
        """Take over what some parts hold; those that are damaged are left out until they change."""
        read: dict[int, Mapping[str, pa.Table]] = {}
        for part in group:
            if self._stop.is_set():
                return
            try:
                read[part] = {
                    table: parts.read_part(self.folder, table, part, names)
                    for table, names in self.tables.items()
                }
            except HeatliftError as error:
                self._torn[part], self.problems[f"part {part}"] = stamps[part], str(error)
        try:
            if read:
                self._add(read)
        except Exception as error:  # tables that are sound can still contradict one another in many ways
            if len(read) > 1:  # each is tried alone, so that only the bad ones are lost
                for part in read:
                    self._read([part], stamps)
                return
            for part in read:
                self._torn[part] = stamps[part]
                self.problems[f"part {part}"] = f"part {part} is left out: {first_line(error)}"

    def _add(self, read: Mapping[int, Mapping[str, pa.Table]]) -> None:
        first = next(iter(self.tables))
        names = [pc.unique(found[first]["image"].drop_null().combine_chunks()) for found in read.values()]
        lengths = [len(each) for each in names]
        images = pa.concat_arrays(names)
        fresh = np.array([name not in self.images.positions for name in images.to_pylist()], bool)
        twice = len(pc.unique(images)) < len(images) or not fresh.all()
        if twice and len(read) > 1:
            raise ValueError("an image is in more than one part")
        part = np.repeat(np.array(list(read), np.int64), lengths)[fresh]
        place = np.concatenate([np.arange(length) for length in lengths])[fresh]
        images = images.filter(pa.array(fresh))
        tables = {name: pa.concat_tables([found[name] for found in read.values()]) for name in self.tables}
        columns = self._columns(tables, images, self.classes)
        positions = {name: position for position, name in enumerate(images.to_pylist())}
        self.images = self.images.extended(Images(part, place, images, columns, positions))
        for number in read:
            self.problems.pop(f"part {number}", None)
            if twice:
                others = int((~fresh).sum())
                self.problems[f"part {number}"] = f"part {number}: {others} of its images are in another part"
        self._done.update(read)

    def _mark_kept(self) -> None:
        """Note which images have heatmaps to look at; those of an audit come at its end."""
        images, now = self.images, [stamp(store(self.folder, self.kind)), len(self.images)]
        if now == self._kept or not len(images):
            return
        kept, damaged = kept_images(self.folder, self.kind, images.names.to_pylist())
        sound = {key: text for key, text in self.problems.items() if not key.startswith("examples/")}
        self.problems = sound | dict(damaged)
        self.images, self._kept = images.with_column(keeping(kept)), now

    def _tried(self, name: str, read: Callable[[], None]) -> None:
        try:
            read()
        except HeatliftError as error:
            self.problems[name] = without_folder(first_line(error), self.folder)
        except RecursionError as error:
            self.problems[name] = f"{name} is damaged: {first_line(error)}"
        else:
            self.problems.pop(name, None)

    def _read_record(self) -> dict[str, Any]:
        try:
            return read_record(confined(self.folder, self.folder / "run.json", LARGEST_TEXT).parent)
        except RecursionError as error:
            raise HeatliftError(f"{self.folder / 'run.json'} is damaged: {first_line(error)}") from error

    def _read_summary(self) -> None:
        path = self.folder / "summary.json"
        if path.exists():
            self.summary = read_json(confined(self.folder, path, LARGEST_TEXT))
