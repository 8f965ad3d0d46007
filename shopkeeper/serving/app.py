"""The HTTP application of one shop, and the server that runs it.

Knows no models: every answer comes from `engine.shop.Shop`. Loads no training library.
"""

import gc
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

import shopkeeper
from shopkeeper.errors import BadConfig, NotFitted
from shopkeeper.operations.keys import Keys
from shopkeeper.serving import problems, storefront
from shopkeeper.serving.access import Access
from shopkeeper.serving.guard import Guard
from shopkeeper.serving.house import House
from shopkeeper.serving.routes import (
    events,
    health,
    pictures,
    products,
    recommend,
    rules,
    search,
)

if TYPE_CHECKING:
    from shopkeeper.engine.shop import Shop

CONNECTIONS_MAX = 500
"""Beyond this the server answers 503 rather than let everyone wait."""
SHUTDOWN_S = 10
PREFLIGHT_S = 24 * 3600
"""How long a browser remembers that pages of another site may ask."""

_log = logging.getLogger("shopkeeper.serving")


def create_app(shop: "Shop") -> FastAPI:
    """Return the application: `/v1`, health, metrics and the storefront.

    Args:
        shop: Closed when the application shuts down.

    Returns:
        An ASGI application.
    """
    house = House(shop, Access(Keys(shop.folder)))

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        try:
            await house.calls.answer(shop.ready)
        except NotFitted as error:
            _log.warning("%s", error)
        yield
        await house.calls.write(shop.close)

    app = FastAPI(
        title=shop.config.shop.name,
        version=shopkeeper.__version__,
        summary="Search and recommendations of one shop.",
        docs_url=None,
        redoc_url=None,
        lifespan=living,
    )
    for part in (products, events, search, pictures, recommend, rules, health):
        app.include_router(part.router(house))
    storefront.install(app, house)
    page = storefront.error_page(house)
    problems.install(app, page)
    app.add_middleware(
        Guard,
        metrics=house.metrics,
        body_bytes_max=int(shop.config.serving.body_mb_max * 1e6),
        page=page,
    )
    if shop.config.serving.origins:
        # Outside of the guard, or a page could not read why it was refused.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=shop.config.serving.origins,
            allow_methods=("GET", "POST"),
            allow_headers=("authorization", "content-type", "x-api-key"),
            max_age=PREFLIGHT_S,
        )
    return app


def run(
    shop: "Shop",
    host: str | None = None,
    port: int | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve a shop until the process is told to stop; then finish what runs and close the shop.

    An address that cannot be listened on raises BadConfig. A shop without keys listens on this
    machine alone, whatever address is wanted, and says so.

    Args:
        shop: The shop.
        host: Address to listen on; that of `shop.toml` by default.
        port: Port; that of `shop.toml` by default, 0 for any free one.
        announce: Told the address once the shop answers there.
    """
    import uvicorn

    host = _allowed(host or shop.config.serving.host, guarded=len(Keys(shop.folder)) > 0)
    listening = _listen(host, shop.config.serving.port if port is None else port)
    config = uvicorn.Config(
        create_app(shop),
        access_log=False,
        log_level="warning",
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=SHUTDOWN_S,
        server_header=False,
        **_fast(),
    )
    address = f"http://{host}:{listening.getsockname()[1]}"

    class Announcing(uvicorn.Server):  # type: ignore[misc, unused-ignore]
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started and announce:
                announce(address)

    # What was loaded stays: the collector need not walk it again while a shopper waits.
    gc.collect()
    gc.freeze()
    gc.enable()
    Announcing(config).run(sockets=[listening])


def _allowed(host: str, guarded: bool) -> str:
    """Return where to listen: on this machine alone while there are no keys."""
    if guarded or _is_loopback(host):
        return host
    alone = "::1" if ":" in host else "127.0.0.1"
    _log.warning(
        "This shop has no keys, so it listens on %s only, not on %s. "
        "Make one by `shopkeeper keys add NAME`, then serve again.",
        alone,
        host,
    )
    return alone


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise BadConfig(
            f"Cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}. "
            "Choose another with --port, or stop what runs there."
        ) from error
    return listening


def _fast() -> dict[str, Any]:
    """Name the quick event loop where it is installed; Windows has none."""
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return {"http": "httptools"}
    return {"loop": "uvloop", "http": "httptools"}
