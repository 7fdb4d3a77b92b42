"""Asks a gateway over gRPC by what its reflection says, as grpcurl does."""

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from services.gateway.calls import NAME

LATE_S_MAX = 60.0


class Caller:
    """Knows of the service what reflection says, and asks it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        self._service = pool.FindServiceByName(NAME)

    def ask(self, method: str, request: dict[str, Any], **options: Any) -> dict[str, Any]:
        """One call, as JSON. Raises grpc.RpcError."""
        found = self._service.methods_by_name[method]
        call = self._channel.unary_unary(
            f"/{NAME}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(found.output_type).FromString,
        )
        message = ParseDict(request, GetMessageClass(found.input_type)())
        answer = call(message, **{"timeout": LATE_S_MAX, **options})
        made: dict[str, Any] = MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return made

    def refused(self, method: str, request: dict[str, Any], **options: Any) -> tuple[grpc.StatusCode, list[Any]]:
        """The status of a call that fails, and its details."""
        with pytest.raises(grpc.RpcError) as error:
            self.ask(method, request, **options)
        status = rpc_status.from_call(error.value)
        return error.value.code(), list(status.details) if status else []
