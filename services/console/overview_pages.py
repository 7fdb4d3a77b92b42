"""The pages of the overview. Reports and what-if pages are shown as they are, in a sandbox without scripts."""

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response

from models.bundle.files import BundleError
from services.console.overview import age_words, dashboards
from services.console.web import Asked, RefusedError
from services.errors import AssayError

if TYPE_CHECKING:
    from services.console.routes import Desk

SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
"""Of a file that another program wrote: its own styles, and nothing else. In a sandbox it is of no origin."""


async def show(desk: "Desk", asked: Asked) -> Response:
    """The figures."""
    return desk.render(
        "overview.html",
        asked,
        figures=await asyncio.to_thread(desk.overview.figures),
        pages=await asyncio.to_thread(desk.overview.pages),
        has_bundle=desk.overview.has_bundle(),
        dashboards=dashboards(desk.settings.grafana_url),
        age_words=age_words,
    )


async def report(desk: "Desk", asked: Asked) -> Response:
    """The report of the bundle that scores."""
    try:
        found = await asyncio.to_thread(desk.overview.report)
    except (AssayError, BundleError) as error:
        raise RefusedError(404, str(error)) from None
    return _sandboxed(found)


async def page(desk: "Desk", asked: Asked) -> Response:
    """A page of `assay what-if`."""
    found = await asyncio.to_thread(desk.overview.page, asked.request.path_params["name"])
    if found is None:
        raise RefusedError(404, "There is no such page.")
    return _sandboxed(found)


def _sandboxed(content: bytes) -> Response:
    return HTMLResponse(content, headers={"content-security-policy": SANDBOX})
