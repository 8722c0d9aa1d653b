# Clients of gRPC's standard services, which share no code with the agent.
# standard_clients.py ADDRESS CA CERT KEY, and one of: check SERVICE..., watch SERVICE, reflect PACKAGE
import json
import sys

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2


def connect(address, *files):
    ca, cert, key = (open(file, 'rb').read() for file in files)
    credentials = grpc.ssl_channel_credentials(ca, key, cert)
    return grpc.secure_channel(address, credentials, [('grpc.ssl_target_name_override', 'flux-agent')])


def name(status):
    return health_pb2.HealthCheckResponse.ServingStatus.Name(status)


def check(channel, *services):
    health = health_pb2_grpc.HealthStub(channel)
    found = {}
    for service in services:
        try:
            found[service] = name(health.Check(health_pb2.HealthCheckRequest(service=service), timeout=20).status)
        except grpc.RpcError as error:
            found[service] = error.code().name
    return found


def watch(channel, service):
    try:
        for answer in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service)):
            print(name(answer.status), flush=True)
    except grpc.RpcError as error:
        print(error.code().name, flush=True)


def reflect(channel, package):
    # The messages of v1 and v1alpha are the same, and the client of PyPI asks for v1alpha alone.
    info = channel.stream_stream(
        f'/{package}.ServerReflection/ServerReflectionInfo',
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )

    def ask(**question):
        return next(info(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=20))

    services = [service.name for service in ask(list_services='').list_services_response.service]
    pool = DescriptorPool()
    added = {}
    for symbol in services + ['flux.FunctionConfig.env', 'grpc.health.v1.HealthCheckResponse.ServingStatus']:
        for file in ask(file_containing_symbol=symbol).file_descriptor_response.file_descriptor_proto:
            described = descriptor_pb2.FileDescriptorProto.FromString(file)
            if described.name not in added:
                pool.Add(described)
                added[described.name] = file
    again = [ask(file_by_filename=file).file_descriptor_response.file_descriptor_proto[0] for file in added]
    config = pool.FindMessageTypeByName('flux.FunctionConfig')
    request = GetMessageClass(pool.FindMessageTypeByName('flux.NodeStatusRequest'))
    response = GetMessageClass(pool.FindMessageTypeByName('flux.NodeStatusResponse'))
    status = channel.unary_unary(
        '/flux.AgentService/ReportNodeStatus',
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )(request(), timeout=20)
    return {
        'services': services,
        'methods': {service: [method.name for method in pool.FindServiceByName(service).methods] for service in services},
        'own types': all(
            type.file.name == method.containing_service.file.name
            for service in services
            for method in pool.FindServiceByName(service).methods
            for type in (method.input_type, method.output_type)
        ),
        'files': again == list(added.values()),
        'map': [entry.name for entry in config.nested_types if entry.GetOptions().map_entry],
        'agent': status.agent_id,
        'unknown': [
            ask(**question).error_response.error_code
            for question in ({'file_containing_symbol': 'no.such'}, {'file_by_filename': 'no'}, {})
        ],
        'extensions': list(
            ask(all_extension_numbers_of_type='flux.FunctionConfig').all_extension_numbers_response.extension_number
        ),
    }


channel = connect(*sys.argv[1:5])
answer = {'check': check, 'watch': watch, 'reflect': reflect}[sys.argv[5]](channel, *sys.argv[6:])
if answer is not None:
    print(json.dumps(answer))
