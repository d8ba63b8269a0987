import pytest

from hitchpost.api import PROTOCOLS, Inference, Inspect, Models, RegisterModelRequest, Route, routes_of


def test_declared_route_names_its_operation() -> None:
    assert Route("POST", "/models/register", RegisterModelRequest, "register_model", None) in list(routes_of(Models))


@pytest.mark.parametrize(
    ("protocol", "routes"),
    [
        (
            Inference,
            [
                ("POST", "/inference/completion", "completion", "stream_completion"),
                ("POST", "/inference/chat-completion", "chat_completion", "stream_chat_completion"),
                ("POST", "/inference/embeddings", "embeddings", None),
            ],
        ),
        (
            Models,
            [
                ("GET", "/models/list", "list_models", None),
                ("GET", "/models/get", "get_model", None),
                ("POST", "/models/register", "register_model", None),
                ("POST", "/models/unregister", "unregister_model", None),
            ],
        ),
        (
            Inspect,
            [
                ("GET", "/providers/list", "list_providers", None),
                ("GET", "/routes/list", "list_routes", None),
                ("GET", "/health", "health", None),
            ],
        ),
    ],
)
def test_protocols_declare_the_published_routes_in_order(
    protocol: type, routes: list[tuple[str, str, str, str | None]]
) -> None:
    declared = [(route.verb, route.path, route.operation, route.stream_operation) for route in routes_of(protocol)]

    assert declared == routes


@pytest.mark.parametrize("protocol", PROTOCOLS.values())
def test_every_operation_of_a_route_exists(protocol: type) -> None:
    names = {name for route in routes_of(protocol) for name in (route.operation, route.stream_operation) if name}

    assert names <= set(vars(protocol))
