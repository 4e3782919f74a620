"""``/docs`` (Swagger UI) and ``/redoc``, with bundled scripts and styles: the pages load without internet."""

from pathlib import Path

from fastapi import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from vidintel.presentation.http.routing import Router

STATIC_PATH = "/docs/static"
_STATIC = Path(__file__).parent / "static"

# Both pages style their elements inline; Redoc's search runs in a worker made from a blob.
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
{head}
</head>
<body>
{body}
</body>
</html>
"""

router = Router(is_public=True, include_in_schema=False)


@router.get("/openapi.json")
async def openapi_document(request: Request) -> JSONResponse:
    return JSONResponse(request.app.openapi())


@router.get("/docs")
async def swagger_ui() -> HTMLResponse:
    return _page(
        "Video Intelligence Backend · API",
        head=f'<link rel="stylesheet" href="{STATIC_PATH}/swagger-ui/swagger-ui.css">',
        body=(
            '<div id="swagger-ui"></div>\n'
            f'<script src="{STATIC_PATH}/swagger-ui/swagger-ui-bundle.js"></script>\n'
            f'<script src="{STATIC_PATH}/swagger-ui.js"></script>'
        ),
    )


@router.get("/redoc")
async def redoc() -> HTMLResponse:
    return _page(
        "Video Intelligence Backend · API reference",
        head=f'<link rel="stylesheet" href="{STATIC_PATH}/redoc.css">',
        body=(
            '<div id="redoc"></div>\n'
            f'<script src="{STATIC_PATH}/redoc/redoc.standalone.js"></script>\n'
            f'<script src="{STATIC_PATH}/redoc.js"></script>'
        ),
    )


def static_files() -> Mount:
    return Mount(STATIC_PATH, StaticFiles(directory=_STATIC), name="docs-static")


def _page(title: str, *, head: str, body: str) -> HTMLResponse:
    html = _PAGE.format(title=title, head=head, body=body)
    return HTMLResponse(html, headers={"Content-Security-Policy": _CSP})
