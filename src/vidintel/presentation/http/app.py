"""The HTTP application, made from the use cases it is given."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Match

from vidintel.domain.errors import DomainError
from vidintel.presentation.http import docs_pages, openapi
from vidintel.presentation.http.dependencies import HttpServices
from vidintel.presentation.http.errors import framework_problem, problem, schema_problem
from vidintel.presentation.http.hot_reads import HotReads
from vidintel.presentation.http.middleware import pipeline
from vidintel.presentation.http.routers import answers, content, health, jobs, me, metrics, models, pictures, videos

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_ROUTERS: tuple[APIRouter, ...] = (
    videos.router,
    content.router,
    jobs.router,
    jobs.of_video,
    answers.router,
    pictures.router,
    models.router,
    me.router,
    health.router,
    metrics.router,
    docs_pages.router,
)


def create_app(services: HttpServices, lifespan: Lifespan | None = None) -> FastAPI:
    """The ASGI application. ``lifespan`` opens and closes what the use cases stand on, when somebody has to."""
    app = FastAPI(
        title="Video Intelligence Backend",
        summary="Upload a video; ask what was seen, and when.",
        description=openapi.DESCRIPTION,
        version=services.version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=[
            *pipeline(services.http, services.meter, services.tracing),
            Middleware(HotReads, services=services),
        ],
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    for router in _ROUTERS:
        app.include_router(router)
    app.router.routes.append(docs_pages.static_files())
    app.openapi = openapi.document_of(app)  # type: ignore[method-assign]  # the way FastAPI documents
    app.exception_handler(DomainError)(_answer_domain_error)
    app.exception_handler(RequestValidationError)(_answer_schema_error)
    app.exception_handler(HTTPException)(_answer_framework_error)
    return app


async def _answer_domain_error(_request: Request, error: DomainError) -> Response:
    return problem(error)


async def _answer_schema_error(_request: Request, error: RequestValidationError) -> Response:
    return schema_problem(error)


async def _answer_framework_error(request: Request, error: HTTPException) -> Response:
    if error.status_code == 405:
        # The framework names the methods of the first route that matches the path only.
        error.headers = {"Allow": ", ".join(sorted(_methods_at(request)))}
    return framework_problem(error)


def _methods_at(request: Request) -> set[str]:
    methods = {
        method
        for router in _ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    return methods or {"GET", "HEAD"}  # no route matches: the path is that of a static file
