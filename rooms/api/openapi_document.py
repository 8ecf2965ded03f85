"""Serves the OpenAPI document of the API, and a page that shows it."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer2
from drf_spectacular.views import SpectacularSwaggerView

from rooms.api.plain_errors import answer_other_methods

JSON = "application/json"
YAML = "application/vnd.oai.openapi"


@csrf_exempt
def docs(request: HttpRequest) -> HttpResponse:
    """`GET /api/docs`: a page that shows the API. Open to all."""
    return answer_other_methods(request) or _page(request)


_page: Any = SpectacularSwaggerView.as_view(url_name="schema")


@csrf_exempt
def schema(request: HttpRequest) -> HttpResponse:
    """`GET /api/schema`: JSON if `Accept` names it, else YAML. Open to all."""
    if (answer := answer_other_methods(request)) is not None:
        return answer
    kind = JSON if "json" in request.headers.get("Accept", "") else YAML
    answer = HttpResponse(_text(kind), content_type=f"{kind}; charset=utf-8")
    answer["Vary"] = "Accept"
    return answer


@cache
def _text(kind: str) -> bytes:
    """The document. Cached: it takes 50 ms of CPU time to make."""
    generator: Any = SchemaGenerator
    described = generator().get_schema(request=None, public=True)
    renderer = OpenApiJsonRenderer2() if kind == JSON else OpenApiYamlRenderer2()
    text: bytes = renderer.render(described, renderer_context={})
    return text
