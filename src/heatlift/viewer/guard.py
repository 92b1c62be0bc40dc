"""Who may ask the viewer, and what a page that it serves may do.

A page of another site that is open in the same browser can send requests to this machine. It can't read the
answers, unless its own name is made to lead here (DNS rebinding): hence the check of the Host header.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "heatlift-token"

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""What pages may load and do: nothing from elsewhere, no inline script or style."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Guard:
    """Lets requests through to ``app`` that name a known host, only read, and have the token.

    Attributes:
        app: what answers.
        known: whether a host's name, without a port, is one of ours.
        token: what has to be known; None where everybody on this machine may look.
    """

    app: ASGIApp
    known: Callable[[str], bool]
    token: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self._refusal(scope) or self.app)(scope, receive, dressed)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.known(hostname(hosts[0])):  # two are read differently by everybody
            return _refused("this address is not one that the viewer was started for", 421)
        if scope["method"] not in ("GET", "HEAD"):
            return _refused("the viewer only shows: GET and HEAD", 405, {"Allow": "GET, HEAD"})
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            # It could not read the answer, but make this machine work.
            return _refused("another site has nothing to ask here", 403)
        if self.token is None:
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        for name, value in query:
            if name == "token" and _same(value, self.token):
                return self._entered(scope, [pair for pair in query if pair[0] != "token"])
        if _same(self._cookie(headers.get("cookie", "")), self.token):
            return None
        if _same(headers.get("authorization", ""), f"Bearer {self.token}"):
            return None
        return _refused("open the whole address that heatlift view printed, with its token", 403)

    def _entered(self, scope: Scope, query: list[tuple[str, str]]) -> Response:
        """Take the token over into a cookie, so that it shows in no address and no history."""
        # From the path alone: a name of another host in it must not become the target.
        path = "/" + scope["path"].lstrip("/\\")
        response = RedirectResponse(path + (f"?{urlencode(query)}" if query else ""), 303)
        # Not "strict": a link to a view that somebody sent would then be refused.
        response.set_cookie(self._cookie_name(), str(self.token), httponly=True, samesite="lax")
        return response

    def _cookie_name(self) -> str:
        """Of this token alone: browsers share cookies among all ports of a host, where others may listen."""
        return f"{COOKIE}-{sha256(str(self.token).encode()).hexdigest()[:8]}"

    def _cookie(self, header: str) -> str:
        try:
            found = SimpleCookie(header).get(self._cookie_name())
        except CookieError:
            return ""
        return found.value if found else ""


def hosts_of(address: str) -> Callable[[str], bool]:
    """Which names a viewer that listens at an address may be called by.

    On this machine alone those of the machine itself. For everybody: the address, this machine's name, and
    any address in numbers, which no name server can make lead here.
    """
    if address in LOOPBACK:
        return LOOPBACK.__contains__
    names: Collection[str] = {address.lower(), socket.gethostname().lower(), *LOOPBACK}
    return lambda name: name in names or _numeric(name)


def hostname(host: str) -> str:
    """A Host header's name, without the port: ``[::1]:80`` -> ``::1``; nothing for what is no such header."""
    host = host.strip().lower()
    found = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+))(?::[0-9]+)?", host)
    return found[1] or found[2] if found else ""


def _numeric(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _refused(why: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": why}, status, headers)
