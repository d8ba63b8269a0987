"""Objects on their way in and out: protobuf structures, types of properties, vectors as bytes."""

import struct
import time
import uuid as uuids
from typing import Any

from google.protobuf.json_format import MessageToDict
from weaviate.proto.v1 import base_pb2, batch_pb2, properties_pb2, search_get_pb2

from tests.fakes.weaviate.schema import Collection, Refused, Schema, Stored

_GUESSED = {str: "text", bool: "boolean", float: "number"}


def floats(data: bytes) -> tuple[float, ...]:
    """A vector from little-endian float32."""
    return struct.unpack(f"<{len(data) // 4}f", data)


def sent_vector(data: bytes, named: Any, plain: Any = ()) -> tuple[float, ...]:
    """The one vector of a message, in whichever of its three forms it came."""
    if named:
        return floats(named[0].vector_bytes)
    return floats(data) if data else tuple(plain)


def store(schema: Schema, sent: batch_pb2.BatchObject, *, guesses: bool) -> None:
    """Keep an object in place of the one with its UUID.

    Raises:
        Refused: why the server doesn't take it.
    """
    name = sent.collection[:1].upper() + sent.collection[1:]
    if guesses and name not in schema.collections:
        schema.create({"class": name})
    collection = schema.get(sent.collection)
    shard = collection.shard(sent.tenant)
    try:
        uuid = str(uuids.UUID(sent.uuid))
    except ValueError:
        raise Refused(f"invalid UUID '{sent.uuid}'") from None
    properties = {
        key[0].lower() + key[1:]: _typed(schema, collection, key, value, guesses=guesses)
        for key, value in sent_properties(sent.properties).items()
        if value is not None
    }
    vector = sent_vector(sent.vector_bytes, sent.vectors, sent.vector)
    if vector:
        if collection.dimension not in (None, len(vector)):
            raise Refused(
                f"insert to vector index: validate vector index for update of {uuid}: new node has a vector with length {len(vector)}. "
                f"Existing nodes have vectors with length {collection.dimension}: vector dimensions do not match the index dimensions"
            )
        collection.dimension = len(vector)
    now = int(time.time() * 1000)
    before = shard.get(uuid)
    shard[uuid] = Stored(uuid, properties, vector, before.created_ms if before else now, now)


def sent_properties(sent: batch_pb2.BatchObject.Properties) -> dict[str, Any]:
    """The properties of an object as they were sent."""
    values: dict[str, Any] = MessageToDict(sent.non_ref_properties)
    for arrays in (sent.text_array_properties, sent.int_array_properties, sent.boolean_array_properties):
        values |= {one.prop_name: list(one.values) for one in arrays}
    for numbers in sent.number_array_properties:
        packed = struct.unpack(f"<{len(numbers.values_bytes) // 8}d", numbers.values_bytes)
        values[numbers.prop_name] = list(packed or numbers.values)
    return values | {name: [] for name in sent.empty_list_props}


def _typed(schema: Schema, collection: Collection, key: str, value: Any, *, guesses: bool) -> Any:
    name = key[0].lower() + key[1:]
    declared = collection.find_property(name)
    if declared is None:
        if not guesses:
            raise Refused(f"no such prop with name '{name}' found in class '{collection.name}' in the schema")
        first = value[0] if isinstance(value, list) and value else value
        kind = _GUESSED.get(type(first), "text") + ("[]" if isinstance(value, list) else "")
        declared = schema.add_property(collection, {"name": name, "dataType": [kind]})
    kind = declared["dataType"][0]
    if kind.endswith("[]") != isinstance(value, list):
        raise Refused(f"invalid {kind} property '{name}' on class '{collection.name}': {type(value).__name__}")
    values = value if isinstance(value, list) else [value]
    plain = kind.removesuffix("[]")
    for one in values:
        is_good = {
            "text": isinstance(one, str),
            "int": isinstance(one, int | float) and not isinstance(one, bool) and float(one).is_integer(),
            "number": isinstance(one, int | float) and not isinstance(one, bool),
            "boolean": isinstance(one, bool),
            "date": isinstance(one, str),
        }.get(plain, True)
        if not is_good:
            raise Refused(
                f"invalid {kind} property '{name}' on class '{collection.name}': not a {plain}, but {type(one).__name__}"
            )
    if plain == "int":
        values = [int(one) for one in values]
    return values if kind.endswith("[]") else values[0]


def result(
    collection: Collection,
    stored: Stored,
    request: search_get_pb2.SearchRequest,
    *,
    distance: float | None = None,
    score: float | None = None,
) -> search_get_pb2.SearchResult:
    """An object as a search answers it: with the properties and the metadata that were asked for."""
    asked = request.metadata
    metadata = search_get_pb2.MetadataResult(id=stored.uuid, id_as_bytes=uuids.UUID(stored.uuid).bytes)
    # Without a search there is no score, asked for or not.
    if asked.distance and distance is not None:
        metadata.distance, metadata.distance_present = distance, True
    if asked.certainty and distance is not None:
        metadata.certainty, metadata.certainty_present = 1 - distance / 2, True
    if asked.score and score is not None:
        metadata.score, metadata.score_present = score, True
    if asked.creation_time_unix:
        metadata.creation_time_unix, metadata.creation_time_unix_present = stored.created_ms, True
    if asked.last_update_time_unix:
        metadata.last_update_time_unix, metadata.last_update_time_unix_present = stored.updated_ms, True
    if (asked.vector or asked.vectors) and stored.vector:
        packed = struct.pack(f"<{len(stored.vector)}f", *stored.vector)
        kind = base_pb2.Vectors.VECTOR_TYPE_SINGLE_FP32
        metadata.vectors.append(base_pb2.Vectors(name="default", vector_bytes=packed, type=kind))
    wanted = set(request.properties.non_ref_properties)
    takes_all = not request.HasField("properties") or request.properties.return_all_nonref_properties
    fields = {
        one["name"]: _value(one["dataType"][0], stored.properties.get(one["name"]))
        for one in collection.definition["properties"]
        if takes_all or one["name"] in wanted
    }
    properties = search_get_pb2.PropertiesResult(
        non_ref_props=properties_pb2.Properties(fields=fields), target_collection=collection.name
    )
    return search_get_pb2.SearchResult(properties=properties, metadata=metadata)


def _value(kind: str, value: Any) -> properties_pb2.Value:
    if value is None:
        return properties_pb2.Value(null_value=0)
    if kind == "text[]":
        return properties_pb2.Value(
            list_value=properties_pb2.ListValue(text_values=properties_pb2.TextValues(values=value))
        )
    names = {
        "text": "text_value",
        "int": "int_value",
        "number": "number_value",
        "boolean": "bool_value",
        "date": "date_value",
    }
    if kind not in names:
        raise Refused(f"the fake can't answer properties of the type {kind}", 500)
    return properties_pb2.Value(**{names[kind]: value})
