from hitchpost.api import NoArguments
from tests.plugged import CONTEXT, Idle, Plugged, inference

NOTHING = NoArguments()


async def test_inspect_lists_the_configured_providers_in_their_order(plugged: Plugged) -> None:
    plugged.add()
    plugged.add(Idle, "inline::guard", api="safety")
    config = inference(
        {"provider_id": "b", "provider_type": "inline::test"}, {"provider_id": "a", "provider_type": "inline::absent"}
    )
    config["providers"]["safety"] = [{"provider_id": "s", "provider_type": "inline::guard"}]
    stack = plugged.build(config)

    listed = await stack.inspect.list_providers(NOTHING, CONTEXT)

    assert {api: [(info.provider_id, info.provider_type) for info in infos] for api, infos in listed.items()} == {
        "inference": [("b", "inline::test"), ("a", "inline::absent")],
        "safety": [("s", "inline::guard")],
    }


async def test_inspect_lists_every_route_with_the_types_behind_it(plugged: Plugged) -> None:
    plugged.add()
    stack = plugged.build(inference(*({"provider_id": name, "provider_type": "inline::test"} for name in "ab")))

    listed = await stack.inspect.list_routes(NOTHING, CONTEXT)

    assert [(info.route, info.method, info.provider_types) for info in listed["inference"]] == [
        ("/alpha/inference/completion", "post", ["inline::test", "inline::test"]),
        ("/alpha/inference/chat-completion", "post", ["inline::test", "inline::test"]),
        ("/alpha/inference/embeddings", "post", ["inline::test", "inline::test"]),
    ]
    assert [(info.route, info.method, info.provider_types) for info in listed["models"]] == [
        ("/alpha/models/list", "get", []),
        ("/alpha/models/get", "get", []),
        ("/alpha/models/register", "post", []),
        ("/alpha/models/unregister", "post", []),
    ]
    assert [info.route for info in listed["inspect"]] == [
        "/alpha/providers/list",
        "/alpha/routes/list",
        "/alpha/health",
    ]


async def test_inspect_says_ok(plugged: Plugged) -> None:
    assert (await plugged.build({}).inspect.health(NOTHING, CONTEXT)).status == "OK"
