"""Opening http(s) URLs whose redirects lead nowhere that the URL did not say.

A person may give a URL of a private network. A server may not: a redirect goes to http or https, never from https back
to http, and never to an address of this machine or its network.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import socket
import string
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from .errors import MediaError

PUBLIC_ONLY = "VIDEOGLAMM_PUBLIC_URLS_ONLY"  # set it to 1 where URLs come from strangers
_MOST_REDIRECTS = 10


def open_url(url: str, name: str, timeout: float) -> Any:
    """The response to a URL, an object to read from; close it.

    Args:
        url: http or https.
        name: What messages call it.
        timeout: Seconds without an answer before it is given up.

    Raises:
        MediaError: It is redirected where a redirect must not lead, or too often; or it leads to a private address
            where the environment variable `VIDEOGLAMM_PUBLIC_URLS_ONLY` forbids that.
        OSError, ValueError, http.client.HTTPException: As `urllib.request.urlopen`.
    """
    public_only = public_urls_only()
    opener = urllib.request.build_opener(_Http, _Https, _NoRedirects)
    for _ in range(_MOST_REDIRECTS + 1):
        request = urllib.request.Request(url, headers={"User-Agent": "videoglamm-hf"})
        request.public_host = _public_host(url) if public_only else None
        try:
            return opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            location = error.headers.get("Location")
            if not 300 < error.code < 400 or location is None:
                raise
            error.close()
            url, public_only = _redirected(url, location, f"{name}: the server answered {error.code}"), True
    raise MediaError(f"{name}: redirected more than {_MOST_REDIRECTS} times; check the URL")


def public_urls_only() -> bool:
    """Whether URLs may come from strangers, and must not lead to private addresses."""
    return os.environ.get(PUBLIC_ONLY, "0") not in ("", "0")


def _redirected(url: str, location: str, said: str) -> str:
    # As urllib does, headers being bytes.
    target = urllib.parse.urljoin(url, urllib.parse.quote(location, encoding="iso-8859-1", safe=string.punctuation))
    before, after = (urllib.parse.urlsplit(one).scheme.lower() for one in (url, target))
    if after != before and (before, after) != ("http", "https"):
        raise MediaError(f"{said} and redirects from {before} to {after}, which is not followed; check the URL")
    return target


def _public_host(url: str) -> str | None:
    """The host of a URL; raises MediaError if one of its addresses is private."""
    host = urllib.parse.urlsplit(url).hostname
    with contextlib.suppress(socket.gaierror, UnicodeError):  # a proxy may know it
        for *_, place in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
            _check_public(place[0], url)
    return host


def _check_public(address: str, url: str) -> None:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6:
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    if not ip.is_global or ip.is_multicast:
        raise MediaError(
            f"{url} leads to {address}, a private address, which is not followed from elsewhere; if you trust it, "
            "give that URL itself"
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _connection(kind: type, request: Any) -> type:
    """A kind of connection that is given up before anything is sent if it leads to a private address after all."""
    host = request.public_host
    # With a proxy, the connection leads there.
    if host is None or urllib.parse.urlsplit(f"//{request.host}").hostname != host:
        return kind

    class Public(kind):
        def connect(self) -> None:
            super().connect()
            _check_public(self.sock.getpeername()[0], request.full_url)

    return Public


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: Any) -> Any:
        return self.do_open(_connection(http.client.HTTPConnection, req), req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: Any) -> Any:
        return self.do_open(_connection(http.client.HTTPSConnection, req), req)
