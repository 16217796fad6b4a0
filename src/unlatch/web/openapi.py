"""The OpenAPI 3.1 document, made from the table of endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from unlatch.web import problems
from unlatch.web.endpoints import Endpoint, EndpointTable, Repeat
from unlatch.web.problems import TROUBLES, Problem, Trouble
from unlatch.web.signing_in import Reader

REFERENCE = "#/components/schemas/{name}"
SCHEMES: Mapping[Reader, str] = {
    Reader.CARRIER: "carrier_key",
    Reader.CONSIGNEE: "consignee_key",
    Reader.OPERATOR: "operator_key",
    Reader.COURIER: "phone_token",
    Reader.NEWCOMER: "phone_key",
}
_DESCRIPTION = """Delivers parcels into locked places: a courier beside the car scans the parcel, the platform
decides, unlocks the trunk through the car maker's cloud, watches it open and close, locks it and sees it locked.

Every POST needs an `Idempotency-Key`: the same key with the same request gives the same answer for a day, with
another request it is refused. What the courier says of the door may be said twice: nothing more happens.

Every refusal is a problem document (RFC 9457). Times are RFC 3339. Fields that are not known are refused."""

_IDENTIFIER = {"type": "string", "pattern": "^[a-z]{2,12}_[0-9a-z_]{1,48}$", "maxLength": 64}
_DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$", "maxLength": 64}
_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "New for each new request, the same for each repeat of it",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$", "minLength": 1, "maxLength": 255},
    "example": "6f1c0a52-9d0e-4a6e-8a37-3a1f0f0b8f52",
}


def make_document(tables: Sequence[EndpointTable], *, version: str, address: str) -> dict[str, Any]:
    """The whole document as JSON values."""
    endpoints = [endpoint for table in tables for endpoint in table.endpoints]
    shapes = {
        shape: None
        for endpoint in endpoints
        for shape in (endpoint.takes, endpoint.gives)
        if shape is not None
    }
    _, components = msgspec.json.schema_components([*shapes, Problem], ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Unlatch",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": address}],
        "tags": [{"name": table.tag, "description": table.description} for table in tables],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": _security_schemes(),
        },
    }


def _security_schemes() -> dict[str, Any]:
    def bearer(whose: str) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": f"The key of a {whose}"}

    dpop = "a DPoP proof (RFC 9449; ES256 or Ed25519) of the phone's key in the header `DPoP`, used once"
    return {
        "carrier_key": bearer("carrier"),
        "consignee_key": bearer("consignee"),
        "operator_key": bearer("operator"),
        "phone_token": {
            "type": "http",
            "scheme": "dpop",
            "description": f"`Authorization: DPoP` and the phone's token, with {dpop}",
        },
        "phone_key": {
            "type": "apiKey",
            "in": "header",
            "name": "DPoP",
            "description": f"No token yet, but {dpop}",
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _DIGEST if name == "sha256" else _IDENTIFIER}
        for name in endpoint.path_names
    ]
    if endpoint.query is not None:
        parameters += _query_parameters(endpoint.query)
    if endpoint.repeat is not Repeat.FREE:
        parameters.append(_KEY_HEADER)
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": endpoint.detail,
        "security": [{SCHEMES[reader]: []} for reader in sorted(endpoint.readers)],
        "responses": _responses(endpoint),
    }
    if parameters:
        operation["parameters"] = parameters
    if endpoint.takes is not None:
        content: dict[str, Any] = {"schema": {"$ref": REFERENCE.format(name=endpoint.takes.__name__)}}
        if endpoint.examples:
            content["examples"] = {
                f"example_{number}": {"value": value} for number, value in enumerate(endpoint.examples, 1)
            }
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _query_parameters(shape: type[msgspec.Struct]) -> list[dict[str, Any]]:
    _, components = msgspec.json.schema_components([shape], ref_template=REFERENCE)
    schema = components[shape.__name__]
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": value,
            **({"description": value["description"]} if "description" in value else {}),
        }
        for name, value in schema["properties"].items()
    ]


def list_troubles(endpoint: Endpoint) -> list[Trouble]:
    """Every problem that this endpoint may answer with, beside those that are ours alone."""
    troubles = {Trouble.BAD_INPUT, *endpoint.troubles, Trouble.UNAVAILABLE, Trouble.BROKEN}
    if endpoint.readers:
        troubles |= {Trouble.NOT_SIGNED_IN}
    if endpoint.readers - {Reader.NEWCOMER}:
        troubles |= {Trouble.NOT_ALLOWED}
    if endpoint.path_names:
        troubles |= {Trouble.NOT_FOUND}
    if endpoint.method == "POST":
        troubles |= {Trouble.TOO_LARGE}
    if endpoint.takes is not None:
        troubles |= {Trouble.WRONG_MEDIA_TYPE}
    if endpoint.repeat in (Repeat.IN_TRANSACTION, Repeat.CLAIMED):
        troubles |= {Trouble.KEY_REUSED, Trouble.UNDER_WAY}
    return [trouble for trouble in Trouble if trouble in troubles]


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": endpoint.summary}
    if endpoint.gives is not None:
        schema = {"$ref": REFERENCE.format(name=endpoint.gives.__name__)}
        answer["content"] = {endpoint.media_type: {"schema": schema}}
    elif endpoint.status != 204:
        answer["content"] = {endpoint.media_type: {"schema": {"type": "string"}}}
    responses: dict[str, Any] = {str(endpoint.status): answer}
    for trouble in list_troubles(endpoint):
        status, title = TROUBLES[trouble]
        described = f"`{trouble}`: {title}"
        if (known := responses.get(str(status))) is not None:
            known["description"] += f"; or {described}"
            continue
        responses[str(status)] = {
            "description": described,
            "content": {problems.MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(name="Problem")}}},
        }
    return responses
