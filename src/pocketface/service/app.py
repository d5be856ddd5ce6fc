"""The service as an ASGI application: routes, their OpenAPI description, errors as answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from pocketface import __version__
from pocketface.errors import GalleryError, PocketFaceError
from pocketface.gallery.gallery import LONGEST_NAME
from pocketface.service.answers import (
    About,
    Enrolment,
    Health,
    Identification,
    People,
    Removal,
    Verification,
)
from pocketface.service.bounds import MAX_CANDIDATES
from pocketface.service.counting import Counting
from pocketface.service.engine import Engine
from pocketface.service.form import Form, parse_form
from pocketface.service.gate import App, Gate, answer_of
from pocketface.service.metrics import CONTENT_TYPE, Metrics, resident_bytes
from pocketface.service.page_files import PAGE_FILES, read_page_file
from pocketface.service.refusal import Fault, RefusedError, refusal_of
from pocketface.service.workers import Workers

_ABOUT = """Faces are found, cut out and compared on this machine. A photograph is read in memory
and forgotten; only a gallery whose owner chose so keeps the aligned face of those enrolled."""

Crops = Annotated[bool, Query(description="give the aligned faces as PNG data addresses")]


def create_app(engine: Engine, token: str | None = None) -> App:
    """The application. With `token` every path that tells of people needs it.

    It closes `engine` when it ends.
    """
    workers = Workers(engine.bounds)
    metrics = Metrics()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        workers.close()
        engine.close()

    api = FastAPI(
        title="PocketFace",
        version=__version__,
        description=_ABOUT,
        docs_url=None,  # these pages would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[] if token is None else [Depends(HTTPBearer(auto_error=False))],
    )
    _add_page(api)
    _add_pictures(api, engine, workers)
    _add_people(api, engine, workers)

    @api.get("/health", summary="Whether the service answers")
    async def health() -> Health:
        return Health(version=__version__)

    @api.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
    async def figures() -> Response:
        size = await asyncio.to_thread(engine.size)
        memory = resident_bytes()
        gauges: dict[str, tuple[str, float]] = {
            "pocketface_requests_admitted": (
                "Requests that are worked on or wait.",
                workers.admitted,
            )
        }
        if size is not None:
            gauges["pocketface_gallery_people"] = ("People of the gallery.", size.people)
            gauges["pocketface_gallery_templates"] = ("Templates of the gallery.", size.templates)
        if memory is not None:
            gauges["process_resident_memory_bytes"] = ("Memory that the process holds.", memory)
        return Response(metrics.text(gauges), media_type=CONTENT_TYPE)

    _add_errors(api)
    return Counting(Gate(api, workers, engine.bounds, token), metrics)


def _add_page(api: FastAPI) -> None:
    def serve(path: str, content: bytes, kind: str) -> None:
        @api.get(path, include_in_schema=False)
        async def file() -> Response:
            return Response(content, media_type=kind)

    for path, (name, kind) in PAGE_FILES.items():
        serve(path, read_page_file(name), kind)


def _add_pictures(api: FastAPI, engine: Engine, workers: Workers) -> None:
    most = engine.bounds.photos

    @api.get("/about", summary="What the service runs with", responses=_faults(401, 503))
    async def about() -> About:
        return await workers.run(engine.about)

    @api.post(
        "/verify",
        summary="Whether two photographs show one person",
        responses=_faults(400, 401, 403, 408, 413, 415, 422, 503),
        openapi_extra=_form({"first": _FILE, "second": _FILE}, ["first", "second"]),
    )
    async def verify(request: Request, crops: Crops = False) -> Verification:
        form = await _form_of(request)
        first, second = (form.uploads(name, 1)[0] for name in ("first", "second"))
        return await workers.run(lambda: engine.verify(first, second, crops=crops))

    @api.post(
        "/identify",
        summary="Who is on a photograph; unknown is an answer",
        responses=_faults(400, 401, 403, 408, 409, 413, 415, 422, 503),
        openapi_extra=_form({"photo": _FILE}, ["photo"]),
    )
    async def identify(
        request: Request,
        candidates: Annotated[int, Query(ge=1, le=MAX_CANDIDATES)] = 3,
        crops: Crops = False,
    ) -> Identification:
        photo = (await _form_of(request)).uploads("photo", 1)[0]
        return await workers.run(lambda: engine.identify(photo, candidates, crops=crops))

    @api.post(
        "/enroll",
        summary="Enrol a person: all photographs or none",
        responses=_faults(400, 401, 403, 408, 409, 413, 415, 422, 503),
        openapi_extra=_form(
            {
                "name": {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
                "photos": {"type": "array", "items": _FILE, "minItems": 1, "maxItems": most},
                "largest": {
                    "type": "boolean",
                    "default": False,
                    "description": "of several faces take the largest",
                },
            },
            ["name", "photos"],
        ),
    )
    async def enrol(request: Request, crops: Crops = False) -> Enrolment:
        form = await _form_of(request)
        name, largest = form.text("name"), form.flag("largest")
        photos = form.uploads("photos", most)
        return await workers.run(lambda: engine.enrol(name, photos, largest=largest, crops=crops))


def _add_people(api: FastAPI, engine: Engine, workers: Workers) -> None:
    @api.get("/people", summary="Who is enrolled", responses=_faults(401, 409, 422, 503))
    async def people(
        start: Annotated[int, Query(ge=0, le=2**31)] = 0,
        count: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> People:
        return await workers.run(lambda: engine.people(start, count))

    @api.delete(
        "/people/{name:path}",
        summary="Remove a person with all templates",
        responses=_faults(401, 403, 404, 409, 422, 503),
    )
    async def remove(
        name: Annotated[str, Path(description="percent-encoded, a slash too")],
    ) -> Removal:
        return await workers.run(lambda: engine.remove(name))


def _add_errors(api: FastAPI) -> None:
    @api.exception_handler(PocketFaceError)
    async def refused(_: Request, error: PocketFaceError) -> JSONResponse:
        # A cause means that the disk or the file is at fault, not the request.
        ours = isinstance(error, GalleryError) and error.__cause__ is not None
        allowed = "A gallery that can be read and written." if ours else "What the service can do."
        return answer_of(refusal_of(error, 503 if ours else 409, allowed))

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"])
        return answer_of(
            RefusedError(
                422,
                f"{where}: {str(first.get('input'))[:80]!r}.",
                f"{first['msg']}.",
                "See /openapi.json for what is allowed.",
            )
        )

    @api.exception_handler(HTTPException)
    async def elsewhere(request: Request, error: HTTPException) -> JSONResponse:
        return answer_of(
            RefusedError(
                error.status_code,
                f"{request.method} {request.url.path[:80]!r}: {error.detail}.",
                "The paths and methods of /openapi.json.",
                "Check the address and the method.",
                dict(error.headers or {}),
            )
        )

    @api.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> JSONResponse:
        return answer_of(
            RefusedError(
                500,
                f"A fault of PocketFace: {type(error).__name__}.",
                "No answer should be this one.",
                "Report it with what the service printed.",
            )
        )


async def _form_of(request: Request) -> Form:
    return parse_form(request.headers.get("content-type", ""), await request.body())


_FILE = {"type": "string", "format": "binary"}

_WORDS = {
    400: "The body is no multipart form",
    401: "The token is missing or wrong",
    403: "Another site's page asks, or by another name than this machine's",
    404: "There is no such person",
    408: "The body took too long",
    409: "There is no gallery",
    413: "The body is too large",
    415: "Another content type than multipart/form-data",
    422: "A field or a photograph is not what it must be",
    503: "Too much is under way; send it again after Retry-After",
}


def _faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Fault, "description": _WORDS[status]} for status in statuses}


def _form(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }
