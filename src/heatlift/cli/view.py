"""``heatlift view``: runs in the browser, image by image and step by step."""

from __future__ import annotations

from typing import Annotated

import typer


def view(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="The folders of runs, finished or not; more than one side by side."
        ),
    ],
    port: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=65535, help="0 for any that is free. [8462]"),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="For other machines 0.0.0.0: the address then holds a token, keep it secret.",
        ),
    ] = "127.0.0.1",
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
) -> None:
    """Look at runs in the browser: every image, heatmaps step by step, scores; Ctrl-C ends it.

    It reads the runs' folders and writes nothing, and a run that is still going on can be watched. Several
    runs of the same images are shown beside each other. Nothing is loaded from outside. Of a run in object
    storage (s3://bucket/folder) it shows what is there when it starts.

    Example: heatlift view runs/first runs/second --port 0
    """
    from contextlib import suppress

    from heatlift.run.place import fetched
    from heatlift.viewer.server import PORT, Server

    server = Server.open([fetched(run) for run in runs], host, PORT if port is None else port)
    with suppress(KeyboardInterrupt):
        print(f"viewer: {server.address} (Ctrl-C ends it)", flush=True)
        if not no_open:
            _open(server.address)
        server.run()
    print("viewer stopped")


def _open(address: str) -> None:
    """Open a browser, if there is one; the server does not wait for one that runs in the terminal."""
    import threading
    import webbrowser
    from contextlib import suppress

    def opened() -> None:
        with suppress(Exception):  # the address has been printed
            webbrowser.open(address)

    threading.Thread(target=opened, daemon=True).start()
