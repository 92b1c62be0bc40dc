"""What the viewer answers: its page, and runs as JSON and pictures; images go by row, never by path."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.resources import files
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import heatlift
from heatlift.errors import HeatliftError, first_line
from heatlift.panel.frames import encoded
from heatlift.viewer.catalogue import Catalogue, Images
from heatlift.viewer.distribution import distribution, figure
from heatlift.viewer.downloads import FORMS, download
from heatlift.viewer.heatmaps import Masked
from heatlift.viewer.image import details, keeper
from heatlift.viewer.overview import overview
from heatlift.viewer.query import ordered, parsed, selected
from heatlift.viewer.rows import row
from heatlift.viewer.thumbnails import Thumbnails

MOST = 500
"""Images in one answer."""

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Viewer:
    """Answers for some runs."""

    def __init__(self, catalogues: Sequence[Catalogue]) -> None:
        self.catalogues = catalogues
        self.thumbnails = [Thumbnails(catalogue.folder) for catalogue in catalogues]

    def routes(self) -> list[Route]:
        """Every address that there is."""
        image = "/api/runs/{run:int}/images/{id}"
        return [
            Route("/api/runs", self.runs),
            Route("/api/runs/{run:int}/images", self.images),
            Route("/api/runs/{run:int}/distribution", self.distribution),
            Route(image, self.details),
            Route(f"{image}/thumbnail", self.thumbnail),
            Route(f"{image}/original", self.original),
            Route(f"{image}/reference", self.reference),
            Route(f"{image}/layers/{{layer:int}}/frames/{{frame:int}}", self.frame),
            Route(f"{image}/layers/{{layer:int}}/download", self.download),
            *_assets(),
        ]

    def runs(self, request: Request) -> Response:
        """All runs with their columns."""
        found = [overview(number, catalogue) for number, catalogue in enumerate(self.catalogues)]
        return _json({"version": heatlift.__version__, "runs": found})

    def images(self, request: Request) -> Response:
        """Some of the images that filters leave, in an order."""
        images = self._catalogue(request).images
        thumbnails = self.thumbnails[request.path_params["run"]]
        asked = request.query_params
        chosen = selected(images, [parsed(text) for text in asked.getlist("where")])
        sort, descending = asked.get("sort", ""), asked.get("descending") in ("1", "true")
        positions = ordered(images, chosen, sort, descending)
        offset, limit = _natural(asked.get("offset"), 0), min(MOST, _natural(asked.get("limit"), 60))
        page = positions[offset : offset + limit].tolist()
        rows = [row(images, position, sort, thumbnails) for position in page]
        return _json({"total": len(positions), "of": len(images), "offset": offset, "rows": rows})

    def distribution(self, request: Request) -> Response:
        """How one column is distributed over the images that filters leave."""
        catalogue, asked = self._catalogue(request), request.query_params
        images, key = catalogue.images, asked.get("column", "")
        chosen = selected(images, [parsed(text) for text in asked.getlist("where")])
        found = distribution(images, chosen, key, _natural(asked.get("bins"), 40))
        return _json(found | {"figure": figure(catalogue, images.columns[key].heading)})

    def details(self, request: Request) -> Response:
        """One image, but for its pixels."""
        catalogue = self._catalogue(request)
        images, position = self._image(request, catalogue)
        found, run = details(catalogue, images, position).as_json(), request.path_params["run"]
        name = images.names[position].as_py()
        elsewhere = {}
        for number, other in enumerate(self.catalogues):
            there = other.images
            if number != run and name in there.positions:
                elsewhere[str(number)] = there.id(there.positions[name])
        thumbnail = self.thumbnails[run].of(int(images.part[position]), name) is not None
        return _json(found | {"run": run, "elsewhere": elsewhere, "thumbnail": thumbnail})

    def thumbnail(self, request: Request) -> Response:
        """A small picture."""
        catalogue = self._catalogue(request)
        images, position = self._image(request, catalogue)
        thumbnails = self.thumbnails[request.path_params["run"]]
        found = thumbnails.of(int(images.part[position]), images.names[position].as_py())
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
        layer, frame = (request.path_params[key] for key in ("layer", "frame"))
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
        form, layer = asked.get("format", "png"), request.path_params["layer"]
        if form not in FORMS:
            raise HeatliftError(f"'{form[:20]}' is no form of a picture: ask for {', '.join(FORMS)}")
        frame = _natural(asked.get("frame"), 0)
        found = download(catalogue, images, position, layer, frame, form, asked.get("channel", "sum"))
        name = f"heatlift-{images.id(position).replace('.', '-')}-{layer}.{form}"
        return Response(
            found, media_type=FORMS[form], headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    def _catalogue(self, request: Request) -> Catalogue:
        number = request.path_params["run"]
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
        return catalogue, str(images.names[position])


def application(catalogues: Sequence[Catalogue]) -> Starlette:
    """The viewer of some runs, without its guard."""
    handlers: dict[Any, Callable[[Request, Any], Response]] = {
        HeatliftError: lambda request, error: _error(str(error), 404),
        HTTPException: lambda request, error: _error(str(error.detail), error.status_code),
        Exception: lambda request, error: _error(
            f"this can't be shown: {type(error).__name__}, {first_line(error)}", 500
        ),
    }
    return Starlette(routes=Viewer(catalogues).routes(), exception_handlers=handlers)


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
    return JSONResponse({"error": " ".join(text.split())}, status)


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
