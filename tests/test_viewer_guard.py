"""Who may ask the viewer for what, asked through real sockets."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from heatlift.viewer.guard import HEADERS, Guard, hostname, hosts_of
from lift_runs import InventedLift, write_lift_run
from viewers import Answer, Served, served

SECRET = "owl/0.png"
"""What only those may read who may look at the run."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lift_run(tmp_path_factory.mktemp("run"), InventedLift(images=4, kept=1, steps=3))


@pytest.fixture(scope="module")
def viewer(run: Path) -> Iterator[Served]:
    with served(run) as found:
        yield found


@pytest.fixture(scope="module")
def open_to_others(run: Path) -> Iterator[Served]:
    """A viewer at an address for which a token is needed."""
    with served(run, host="127.0.0.2") as found:
        yield found


def token(viewer: Served) -> str:
    (found,) = parse_qs(urlsplit(viewer.server.address).query)["token"]
    return found


def assert_dressed(answer: Answer) -> None:
    for name, value in HEADERS.items():
        assert answer.headers.get_all(name) == [value]
    assert answer.headers["Server"] is None


def assert_refused(answer: Answer, status: int) -> None:
    assert answer.status == status
    assert_dressed(answer)
    assert list(answer.json) == ["error"]
    assert SECRET.encode() not in answer.body


WRONG_HOSTS = [
    "evil.example", "evil.example:8462", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.2",
    "10.0.0.1", "0.0.0.0", "", " ", ":", ":80", "[::1]evil.example", "[::1", "::1", "127.0.0.1:80:80",
    "localhost:x",
    "evil.example@127.0.0.1", "127.0.0.1@evil.example", "127.0.0.1/x", "127.0.0.1:80, evil.example", "[::2]",
    "evil.example#localhost", "localhost ,x", "xn--localhost", "127.1", "localhost:²",
]  # fmt: skip


@pytest.mark.parametrize("host", WRONG_HOSTS)
@pytest.mark.parametrize("path", ["/", "/api/runs/0/images", "/nothing"])
def test_another_host_gets_nothing(viewer: Served, host: str, path: str) -> None:
    assert_refused(viewer.ask(path, headers=[("Host", host.encode("utf-8").decode("latin-1"))]), 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["", ":80", ":9999"])
def test_this_machine_by_all_its_names(viewer: Served, host: str, port: str) -> None:
    answer = viewer.ask("/api/runs/0/images", headers=[("Host", host + port)])
    assert answer.status == 200
    assert SECRET.encode() in answer.body


@pytest.mark.parametrize("lines", ["", "Host: 127.0.0.1\r\nHost: evil.example\r\n"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_no_host_or_two_get_nothing(viewer: Served, lines: str, version: str) -> None:
    """Some of these the server turns down itself, before the guard sees them."""
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=600) as connection:
        connection.sendall(
            f"GET /api/runs/0/images HTTP/{version}\r\n{lines}Connection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] in (b"400", b"421")
    assert SECRET.encode() not in answer


def guarded(headers: list[tuple[bytes, bytes]], method: str = "GET", token: str | None = None) -> int:
    """The status with which the guard alone answers; 0 for none."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/", "query_string": b"", "headers": headers}
    asyncio.run(Guard(app, hosts_of("127.0.0.1"), token)(scope, None, send))  # type: ignore[arg-type]
    return int(sent[0]["status"]) if sent else 0


def test_the_guard_itself_refuses_no_host_and_two() -> None:
    assert guarded([]) == 421
    assert guarded([(b"host", b"127.0.0.1"), (b"host", b"127.0.0.1")]) == 421
    assert guarded([(b"host", b"127.0.0.1")]) == 200


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("LocalHost:80", "localhost"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("10.0.0.1", "10.0.0.1"),
        ("[::1]x", ""), ("a:b:80", ""), ("", ""), (":80", ""), ("a:", ""), ("[a", ""),
    ],
)  # fmt: skip
def test_host_names(header: str, name: str) -> None:
    assert hostname(header) == name


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW"])
@pytest.mark.parametrize("path", ["/", "/api/runs", "/api/runs/0/images/0.0/thumbnail", "/nothing"])
def test_nothing_can_be_changed(viewer: Served, method: str, path: str) -> None:
    answer = viewer.ask(path, method)
    assert_refused(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/", "/api/runs", "/static/main.js", "/api/runs/0/images/0.0/original", "/x"]
)
def test_head_is_get_without_the_content(viewer: Served, path: str) -> None:
    there, head = viewer.ask(path), viewer.ask(path, "HEAD")
    assert (head.status, head.body) == (there.status, b"")
    assert head.headers["Content-Length"] == str(len(there.body))
    assert head.headers["Content-Type"] == there.headers["Content-Type"]
    assert_dressed(head)


def test_every_answer_has_the_headers_of_a_careful_site(viewer: Served, monkeypatch: Any, capfd: Any) -> None:
    for path in ("/", "/static/main.js", "/panel/panel.js", "/api/runs", "/nothing", "/api/runs/7/images",
                 "/api/runs/0/images/0.0/original", "/api/runs/0/images/0.0/layers/0/frames/0"):  # fmt: skip
        assert_dressed(viewer.ask(path))

    def fails(*arguments: Any) -> None:
        raise RuntimeError("a mistake\nwith lines")

    monkeypatch.setattr("heatlift.viewer.app.overview", fails)
    answer = viewer.ask("/api/runs")
    assert_refused(answer, 500)
    assert answer.json == {"error": "this can't be shown: RuntimeError, a mistake"}
    assert capfd.readouterr().err == ""


def test_pages_run_nothing_inline_and_load_nothing_from_elsewhere(viewer: Served) -> None:
    policy = dict(part.split(" ", 1) for part in HEADERS["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    page = viewer.ask("/").body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page)
    for address in re.findall(r"(?:src|href)=\"([^\"#]+)\"", page):
        if not address.startswith("data:"):
            assert viewer.ask(address).status == 200, address


@pytest.mark.parametrize("path", ["/", "/api/runs", "/api/runs/0/images", "/static/main.js", "/nothing"])
def test_without_the_token_nothing_is_shown(open_to_others: Served, path: str) -> None:
    for headers in (
        [],
        [("Authorization", "Bearer wrong")],
        [("Authorization", f"Basic {token(open_to_others)}")],
        [("Cookie", "heatlift-token=wrong; heatlift-token-00000000=wrong")],
        [("Cookie", '=;;;\xff, "')],
        [("Cookie", token(open_to_others))],
    ):
        assert_refused(open_to_others.ask(path, headers=headers), 403)
    for wrong in ("", "wrong", token(open_to_others)[:-1], token(open_to_others) + "x", "\xff"):
        assert_refused(open_to_others.ask(path, token=wrong), 403)


def test_the_token_becomes_a_cookie(open_to_others: Served) -> None:
    entered = open_to_others.ask(f"/?run=0&token={token(open_to_others)}&sort=a%26b")
    assert entered.status == 303
    assert entered.headers["Location"] == "/?run=0&sort=a%26b"
    assert_dressed(entered)
    cookie = entered.headers["Set-Cookie"]
    assert "httponly" in cookie.lower()
    assert re.search(r"samesite=(lax|strict)", cookie.lower())
    pair = cookie.partition(";")[0]
    assert open_to_others.ask("/", headers=[("Cookie", pair)]).status == 200
    answer = open_to_others.ask("/api/runs/0/images", headers=[("Cookie", f"a=b; {pair}; c=d")])
    assert SECRET.encode() in answer.body
    answer = open_to_others.ask("/api/runs", headers=[("Authorization", f"Bearer {token(open_to_others)}")])
    assert answer.status == 200
    assert token(open_to_others).encode() not in answer.body


def test_viewers_at_other_ports_have_cookies_of_their_own(run: Path, open_to_others: Served) -> None:
    """A browser sends a host's cookies to all its ports."""
    with served(run, host="127.0.0.2") as other:
        cookies = [
            each.ask("/", token=token(each)).headers["Set-Cookie"].partition(";")[0]
            for each in (open_to_others, other)
        ]
        assert len({cookie.partition("=")[0] for cookie in cookies}) == 2
        for each in (open_to_others, other):
            assert each.ask("/", headers=[("Cookie", "; ".join(cookies))]).status == 200


@pytest.mark.parametrize(
    "path",
    ["//evil.example/", "///evil.example", "/\\evil.example", "/%5Cevil.example", "/%2F/evil.example",
     "/%09/evil.example", "/%5C%5Cevil.example", "//evil.example\\@x", "/.//evil.example",
     "/%0d%0aLocation:%20x"],
)  # fmt: skip
def test_nobody_is_led_elsewhere(open_to_others: Served, path: str) -> None:
    answer = open_to_others.ask(f"{path}?token={token(open_to_others)}")
    assert answer.status in (303, 404)
    if answer.status == 303:
        (location,) = answer.headers.get_all("Location") or []
        assert re.match(r"/(?![/\\\t])", location)
        assert not urlsplit(location).netloc
        assert token(open_to_others) not in location


def test_a_viewer_for_others_goes_by_addresses_in_numbers_and_its_names(open_to_others: Served) -> None:
    bearer = ("Authorization", f"Bearer {token(open_to_others)}")
    for host in ("127.0.0.2", "10.1.2.3:80", "[fe80::1]", socket.gethostname(), "localhost"):
        assert open_to_others.ask("/api/runs", headers=[("Host", host), bearer]).status == 200
    for host in ("evil.example", "10.1.2.3.evil.example", "0x7f.1", "[::1]x"):
        assert_refused(open_to_others.ask("/api/runs", headers=[("Host", host), bearer]), 421)


def test_tokens_are_long_and_new_each_time(run: Path, open_to_others: Served) -> None:
    with served(run, host="127.0.0.2") as other:
        assert token(other) != token(open_to_others)
        assert len(token(other)) >= 32


NOT_FOUND = [
    "/api", "/api/", "/api/runs/", "/api/runs/0", "/api/runs/0/", "/api/../..", "/../../../../etc/passwd",
    "/static/../../catalogue.py", "/static/%2e%2e/catalogue.py", "/static/..%2f..%2fapp.py", "/static/",
    "/panel/",
    "/static/..\\..\\app.py", "/static/main.js%00", "/static//main.js", "/panel/%2e%2e/page.py",
    "/index.html",
    "//etc/passwd", "/static/index.html", "/api/runs/-1/images", "/api/runs/1/images", "/api/runs/x/images",
    f"/api/runs/{10**30}/images", f"/api/runs/{'9' * 5000}/images", "/api/runs/0x0/images",
    "/api/runs/%00/images",
    "/api/runs/%C2%B2/images", "/api/runs/ 0/images".replace(" ", "%20"), "/api/runs/0/images/..",
    "/api/runs/0/images/../../../run.json", "/api/runs/0/images/%2e%2e%2frun.json",
    "/api/runs/0/images/run.json",
    "/api/runs/0/images/owl%2F0.png", "/api/runs/0/images/9.9", "/api/runs/0/images/-1.0",
    "/api/runs/0/images/0",
    "/api/runs/0/images/0.", "/api/runs/0/images/0.0.0", f"/api/runs/0/images/{10**30}.0",
    "/api/runs/0/images/%00",
    "/api/runs/0/images/%FF%FE", "/api/runs/0/images/0.0/nothing", "/api/runs/0/images/0.0/layers",
    "/api/runs/0/images/0.0/layers/1/frames/0", "/api/runs/0/images/0.0/layers/-1/frames/0",
    "/api/runs/0/images/0.0/layers/0/frames/-1", f"/api/runs/0/images/0.0/layers/0/frames/{10**30}",
    f"/api/runs/0/images/0.0/layers/{'7' * 5000}/frames/0", "/api/runs/0/images/0.0/layers/0/frames/1.5",
    "/api/runs/0/images/0.0/layers/0/frames/99", "/api/runs/0/images/0.1/layers/0/frames/0",
    "/api/runs/0/images/0.1/original", "/api/runs/0/images/0.0/reference", "/api/runs/0/images/0.0/thumbnail",
    "/api/runs/0/images/0.0/layers/9/download", "/api/runs/0/images/0.0/layers/0/download?frame=-1",
    "/api/runs/0/images/0.0/layers/0/download?format=../../x",
    "/api/runs/0/images/0.0/layers/0/download?channel=%00",
    "/api/runs/0/images?offset=-1", "/api/runs/0/images?limit=x", f"/api/runs/0/images?offset={10**30}",
    "/api/runs/0/images?limit=1e3", "/api/runs/0/images?where=", "/api/runs/0/images?where={",
    "/api/runs/0/images?where=[]",
    "/api/runs/0/images?sort=nothing", "/api/runs/0/images?where=%7B%22column%22:%22x%22,%22low%22:1%7D",
    "/api/runs/0/images?sort=..%2F..%2Frun.json", "/api/runs/0/images?limit=%C2%B2",
    "/api/runs/0/distribution", "/api/runs/0/distribution?column=nothing",
    "/api/runs/0/distribution?column=label",
    "/api/runs/0/distribution?column=co&bins=0", "/api/runs/0/distribution?column=co&bins=-1",
    f"/api/runs/0/distribution?column=co&bins={10**30}", "/api/runs/0/distribution?column=co&bins=201",
    "/api/runs/0/distribution?column=co&where=x",
]  # fmt: skip


@pytest.mark.parametrize("path", NOT_FOUND)
def test_what_there_is_not(viewer: Served, path: str, capfd: Any) -> None:
    answer = viewer.ask(path)
    assert 400 <= answer.status < 500
    assert_dressed(answer)
    assert answer.headers["Content-Type"] == "application/json"
    assert list(answer.json) == ["error"]
    assert "\n" not in answer.json["error"]
    assert len(answer.json["error"]) < 300
    assert b"root:" not in answer.body
    assert capfd.readouterr().err == ""


def test_no_address_holds_a_path(viewer: Served) -> None:
    """Every part of an address that can vary is a number, or an image's two numbers."""
    routes = viewer.server._server.config.app.app.routes  # type: ignore[union-attr]
    varying = {name for route in routes for name in route.param_convertors}
    assert varying == {"run", "id", "layer", "frame"}
    assert not any("path" in type(c).__name__.lower() for r in routes for c in r.param_convertors.values())


def test_requests_that_are_none_do_not_end_the_viewer(viewer: Served, capfd: Any) -> None:
    for sent in (
        b"\x00\xff\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"a" * 70000,
        b"GET http://[ HTTP/1.1\r\n",
    ):
        with socket.create_connection(("127.0.0.1", viewer.port), timeout=600) as connection:
            connection.sendall(sent)
    assert viewer.ask("/api/runs").status == 200
    assert "Traceback" not in capfd.readouterr().err
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x"),
               ("Sec-WebSocket-Version", "13")]  # fmt: skip
    assert viewer.ask("/api/runs", headers=upgrade).status in (200, 400)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(("site", "mode", "status"), [
    ("cross-site", "no-cors", 403), ("cross-site", "cors", 403), ("cross-site", "navigate", 200),
    ("same-origin", "cors", 200), ("none", "navigate", 200), ("same-site", "no-cors", 200),
])  # fmt: skip
def test_other_sites_can_t_make_it_work(viewer: Served, site: str, mode: str, status: int) -> None:
    headers = [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode)]
    assert viewer.ask("/api/runs", headers=headers).status == status
