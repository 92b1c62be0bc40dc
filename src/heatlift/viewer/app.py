"""What the viewer answers: its page, and runs as JSON and pictures; images go by row, never by path."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.resources import files
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import heatlift
from heatlift.errors import HeatliftError, first_line
from heatlift.panel.frames import encoded
from heatlift.viewer.catalogue import Catalogue
from heatlift.viewer.confined import without_folder
from heatlift.viewer.distribution import distribution, figure
from heatlift.viewer.downloads import FORMS, download
from heatlift.viewer.heatmaps import Masked
from heatlift.viewer.image import details, keeper
from heatlift.viewer.images import Images
from heatlift.viewer.overview import overview
from heatlift.viewer.query import ordered, parsed, selected
from heatlift.viewer.rows import row
from heatlift.wording import clean

MOST = 500
"""Images in one answer."""

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Viewer:
    """Answers for some runs."""

    def __init__(self, catalogues: Sequence[Catalogue]) -> None:
        self.catalogues = catalogues
        # By which a page that is still open notices another viewer, with other runs, at the same address.
        self.started = secrets.token_hex(8)

    def routes(self) -> list[Route]:
        """Every address that there is."""
        image = "/api/runs/{run}/images/{id}"
        answers = {
            "/api/runs": self.runs,
            "/api/runs/{run}/images": self.images,
            "/api/runs/{run}/distribution": self.distribution,
            image: self.details,
            f"{image}/thumbnail": self.thumbnail,
            f"{image}/original": self.original,
            f"{image}/reference": self.reference,
            f"{image}/layers/{{layer}}/frames/{{frame}}": self.frame,
            f"{image}/layers/{{layer}}/download": self.download,
        }
        return [*(Route(path, self._told(answer)) for path, answer in answers.items()), *_assets()]

    def runs(self, request: Request) -> Response:
        """All runs with their columns."""
        found = [overview(number, catalogue) for number, catalogue in enumerate(self.catalogues)]
        return _json({"version": heatlift.__version__, "started": self.started, "runs": found})

    def images(self, request: Request) -> Response:
        """Some of the images that filters leave, in an order."""
        catalogue = self._catalogue(request)
        images = catalogue.images
        asked = request.query_params
        chosen = selected(images, [parsed(text) for text in asked.getlist("where")])
        sort, descending = asked.get("sort", ""), asked.get("descending") in ("1", "true")
        positions = ordered(images, chosen, sort, descending)
        offset, limit = _natural(asked.get("offset"), 0), min(MOST, _natural(asked.get("limit"), 60))
        page = positions[offset : offset + limit].tolist()
        rows = [row(images, position, sort, catalogue.thumbnails) for position in page]
        return _json({"total": len(positions), "of": len(images), "offset": offset, "rows": rows})

    def distribution(self, request: Request) -> Response:
        """How one column is distributed over the images that filters leave."""
        catalogue, asked = self._catalogue(request), request.query_params
        images, key = catalogue.images, asked.get("column", "")
        chosen = selected(images, [parsed(text) for text in asked.getlist("where")])
        found = distribution(images, chosen, key, _natural(asked.get("bins"), 40))
        # The summary's figure is of all images.
        said = None if asked.getlist("where") else figure(catalogue, images.columns[key].heading)
        return _json(found | {"figure": said})

    def details(self, request: Request) -> Response:
        """One image, but for its pixels."""
        catalogue = self._catalogue(request)
        images, position = self._image(request, catalogue)
        found, name = details(catalogue, images, position).as_json(), images.name(position)
        elsewhere = {}
        for number, other in enumerate(self.catalogues):
            there = other.images
            if other is not catalogue and name in there.positions:
                elsewhere[str(number)] = there.id(there.positions[name])
        run = _natural(request.path_params["run"], 0)
        problems = [without_folder(problem, catalogue.folder) for problem in found["problems"]]
        return _json(found | {"run": run, "elsewhere": elsewhere, "problems": problems})

    def thumbnail(self, request: Request) -> Response:
        """A small picture."""
        catalogue = self._catalogue(request)
        images, position = self._image(request, catalogue)
        found = catalogue.thumbnails.of(int(images.part[position]), images.name(position))
        if found is None:
            raise HeatliftError("this run keeps no small picture of this image")
        return Response(found, media_type="image/webp")

    def original(self, request: Request) -> Response:
        """The image as the network sees it."""
        catalogue, name = self._named(request)
        return _png(keeper(catalogue).original(name))

    def reference(self, request: Request) -> Response:
        """What takes the place of the image's pixels where a mask takes them away."""
        catalogue, name = self._named(request)
        keep = keeper(catalogue)
        if not isinstance(keep, Masked):
            raise HeatliftError("only masks replace pixels")
        return _png(keep.reference(name))

    def frame(self, request: Request) -> Response:
        """A heatmap of one step, as bytes."""
        catalogue, name = self._named(request)
        layer, frame = (_natural(request.path_params[key], 0) for key in ("layer", "frame"))
        keep = keeper(catalogue)
        multiplied = catalogue.kind == "lift" and catalogue.multiplies(name)
        found = encoded(keep.frame(name, layer, frame), 1.0 if multiplied else 0.0)
        headers = {"X-Unit": repr(found.unit), "X-Largest": repr(found.largest)}
        return Response(found.levels.tobytes(), media_type="application/octet-stream", headers=headers)

    def download(self, request: Request) -> Response:
        """A step as a picture, or all of them as an animation."""
        catalogue = self._catalogue(request)
        images, position = self._image(request, catalogue)
        asked = request.query_params
        form, layer = asked.get("format", "png"), _natural(request.path_params["layer"], 0)
        if form not in FORMS:
            raise HeatliftError(f"'{form[:20]}' is no form of a picture: ask for {', '.join(FORMS)}")
        frame = _natural(asked.get("frame"), 0)
        found = download(catalogue, images, position, layer, frame, form, asked.get("channel", "sum"))
        name = f"heatlift-{images.id(position).replace('.', '-')}-{layer}.{form}"
        return Response(
            found, media_type=FORMS[form], headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    def _catalogue(self, request: Request) -> Catalogue:
        number = _natural(request.path_params["run"], 0)
        if number >= len(self.catalogues):
            raise HeatliftError(f"no run {number}: {len(self.catalogues)} are open")
        found: Catalogue = self.catalogues[number]
        return found

    def _image(self, request: Request, catalogue: Catalogue) -> tuple[Images, int]:
        images = catalogue.images
        return images, images.position(request.path_params["id"])

    def _named(self, request: Request) -> tuple[Catalogue, str]:
        catalogue = self._catalogue(request)
        images, position = self._image(request, catalogue)
        return catalogue, images.name(position)

    def _told(self, answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
        """The same, where whatever goes wrong becomes one line."""

        @wraps(answer)
        def told(request: Request) -> Response:
            try:
                return answer(request)
            except HeatliftError as error:
                text, status = str(error), 404
            except Exception as error:  # Starlette would answer, but have the server print where it was, too
                text, status = f"this can't be shown: {type(error).__name__}, {first_line(error)}", 500
                if os.environ.get("HEATLIFT_DEBUG"):
                    raise
            for catalogue in self.catalogues:
                text = without_folder(text, catalogue.folder)
            return _error(text, status)

        return told


def application(catalogues: Sequence[Catalogue]) -> Starlette:
    """The viewer of some runs, without its guard."""

    def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        why = "there is nothing at this address" if error.status_code == 404 else error.detail
        return _error(why, error.status_code)

    found = Starlette(routes=Viewer(catalogues).routes(), exception_handlers={HTTPException: unknown})
    found.router.redirect_slashes = False
    return found


def _assets() -> list[Route]:
    """The page's own files, by the names that they have: no path comes from a request."""
    found = []
    for folder, package in (("static", "heatlift.viewer"), ("panel", "heatlift.panel")):
        for file in (files(package) / "static").iterdir():
            suffix = file.name[file.name.rfind(".") :]
            if suffix in TYPES:
                address = "/" if file.name == "index.html" else f"/{folder}/{file.name}"
                found.append(Route(address, _asset(file.read_bytes(), TYPES[suffix])))
    return found


def _asset(content: bytes, kind: str) -> Callable[[Request], Any]:
    async def asset(request: Request) -> Response:
        return Response(content, media_type=kind)

    return asset


def _json(content: Any) -> Response:
    # Numbers that are not finite are no JSON: better no answer than one that can't be read.
    text = json.dumps(content, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return Response(text, media_type="application/json")


def _error(text: str, status: int) -> Response:
    found = _json({"error": clean(text)})
    found.status_code = status
    return found


def _png(pixels: NDArray[np.uint8]) -> Response:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return Response(file.getvalue(), media_type="image/png")


def _natural(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or len(text) > 9:
        raise HeatliftError(f"'{text[:20]}': give a whole number from 0")
    return int(text)
