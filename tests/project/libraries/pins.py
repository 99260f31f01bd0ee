"""Every internal name of another library that our code uses, and what for.

These are names that are private, or hooks that the library does not document: a new version may rename or change any
of them without notice.

    python -m tests.project.libraries.pins [package]     # print what is broken; exit code 1 if anything is
"""

import sys
from collections.abc import Iterator, Mapping

from tests.project.libraries.pin import CLASS, INSTANCE, PROPERTY, READ, Pin, problem

SERVER = "tournament/server/adapter/"
REDIS = "clock/redis/adapter/"


def _pins(library: str, owner: str, used_in: str, names: Mapping[str, tuple[str, str]]) -> Iterator[Pin]:
    for name, (shape, purpose) in names.items():
        yield Pin(library, owner, name, shape, used_in, purpose)


TWISTED = [
    *_pins(
        "Twisted",
        "twisted.internet.asyncioreactor:AsyncioSelectorReactor",
        SERVER + "reactor.py",
        {
            "_asyncioEventloop": (INSTANCE, "registers a descriptor with uvloop once more"),
            "_readOrWrite": ("(selectable, read)", "checks a descriptor after each event"),
            "_readers": (INSTANCE, "knows which descriptors are watched for input"),
            "_writers": (INSTANCE, "knows which descriptors are watched for room to write"),
            "addReader": ("(reader)", "repairs a closed poll handle"),
            "addWriter": ("(writer)", "repairs a closed poll handle"),
        },
    ),
    *_pins(
        "Twisted",
        "twisted.internet.base:ReactorBase",
        SERVER + "reactor.py",
        {"seconds": ("builtin", "timers follow the monotonic clock")},
    ),
    *_pins(
        "Twisted",
        "twisted.internet.main:",
        SERVER + "reactor.py",
        {"installReactor": ("(reactor)", "makes Daphne use our reactor")},
    ),
    *_pins(
        "Twisted",
        "twisted.internet.tcp:Port",
        SERVER + "reactor.py",
        {"numberAccepts": (INSTANCE, "accepts a few connections at a time")},
    ),
    *_pins(
        "Twisted",
        "twisted.web.http:HTTPFactory",
        SERVER + "daphne_server.py",
        {"log": ("(request)", "writes no access log")},
    ),
    *_pins(
        "Twisted",
        "twisted.internet.abstract:FileDescriptor",
        SERVER + "direct_socket.py",
        {
            "dataBuffer": (CLASS, "empty when nothing is queued"),
            "_tempDataBuffer": (INSTANCE, "empty when nothing is queued"),
        },
    ),
    *_pins(
        "Twisted",
        "twisted.internet.abstract:_ConsumerMixin",
        SERVER + "direct_socket.py",
        {
            "producer": (CLASS, "the HTTP channel that the WebSocket replaces"),
            "registerProducer": ("(producer, streaming)", "learns when all queued data has been sent"),
            "unregisterProducer": ("()", "parts the HTTP channel from the transport"),
        },
    ),
    *_pins(
        "Twisted",
        "twisted.web.http:HTTPFactory",
        SERVER + "daphne_server.py",
        {"log": ("(request)", "writes no access log")},
    ),
    *_pins(
        "Twisted",
        "twisted.internet.abstract:FileDescriptor",
        SERVER + "adopted_connection.py",
        {"connected": (CLASS, "tells whether the client is connected")},
    ),
    *_pins(
        "Twisted",
        "twisted.internet.posixbase:PosixReactorBase",
        SERVER + "adopted_connection.py",
        {
            "adoptStreamConnection": (
                "(fileDescriptor, addressFamily, factory)",
                "serves a connection that the supervisor accepted",
            )
        },
    ),
    *_pins(
        "Twisted",
        "twisted.internet.tcp:Connection",
        SERVER + "direct_socket.py, adopted_connection.py",
        {
            "protocol": (INSTANCE, "tells whether a connection has become a WebSocket"),
            "socket": (INSTANCE, "frames go straight to its send"),
        },
    ),
    *_pins(
        "Twisted",
        "twisted.internet.tcp:_TLSConnectionMixin",
        SERVER + "direct_socket.py",
        {"TLS": (CLASS, "frames go straight to the socket only without TLS")},
    ),
    *_pins(
        "Twisted",
        "twisted.internet.protocol:BaseProtocol",
        SERVER + "websocket.py, http_channel.py",
        {"transport": (CLASS, "the connection")},
    ),
    *_pins(
        "Twisted",
        "twisted.internet.protocol:Protocol",
        SERVER + "websocket.py, http_port.py",
        {"factory": (CLASS, "the server of a connection")},
    ),
    *_pins(
        "Twisted",
        "twisted.internet.protocol:Factory",
        SERVER + "http_port.py, daphne_server.py",
        {
            "doStart": ("()", "starts a factory without a port"),
            "buildProtocol": ("(addr)", "refuses a connection that is one too many"),
            "noisy": (CLASS, "Twisted does not log that it listens"),
            "protocol": (CLASS, "the class of new connections"),
        },
    ),
    *_pins(
        "Twisted",
        "twisted.protocols.basic:LineReceiver",
        SERVER + "http_channel.py",
        {
            "MAX_LENGTH": (CLASS, "limits a line"),
            "_buffer": (CLASS, "tells whether a request has begun"),
            "clearLineBuffer": ("()", "drops what a refused client has sent"),
            "lineLengthExceeded": ("(line)", "answers 431"),
        },
    ),
    *_pins(
        "Twisted",
        "twisted.protocols.policies:TimeoutMixin",
        SERVER + "http_channel.py",
        {
            "callLater": ("(period, func)", "disconnects a refused client"),
            "resetTimeout": ("()", "keeps a deadline where it is"),
            "setTimeout": ("(period)", "sets a deadline"),
            "timeOut": (CLASS, "the deadline of the first request"),
        },
    ),
    *_pins(
        "Twisted",
        "twisted.web.http:HTTPChannel",
        SERVER + "http_channel.py, http_port.py",
        {
            "_abortingCall": (CLASS, "cancels the timer of a client that has disconnected"),
            "_networkProducer": (INSTANCE, "lets the transport close its side"),
            "_path": (INSTANCE, "replaces an absolute target"),
            "_receivedHeaderCount": (CLASS, "tells 431 from 400"),
            "_receivedHeaderSize": (CLASS, "tells 431 from 400"),
            "_respondToBadRequestAndDisconnect": ("()", "answers a malformed request"),
            "_savedTimeOut": (CLASS, "the idle timeout between two requests"),
            "_version": (INSTANCE, "HTTP/1.0 needs no Host"),
            "abortTimeout": (CLASS, "seconds until a closed connection is aborted"),
            "allHeadersReceived": ("()", "checks a request before its body"),
            "checkPersistence": ("(request, version)", "one request a connection on the metrics port"),
            "connectionLost": ("(reason)", "counts the connections of the metrics port"),
            "persistent": (CLASS, "whether the connection is kept after this request"),
            "connectionMade": ("()", "starts the first deadline"),
            "dataReceived": ("(data)", "drops what a refused client sends"),
            "forceAbortClient": ("()", "disconnects a refused client"),
            "headerReceived": ("(line)", "refuses a header"),
            "isSecure": ("()", "closes a TLS connection as a whole"),
            "length": (CLASS, "refuses a body"),
            "lineReceived": ("(line)", "drops what a refused client sends"),
            "loseConnection": ("()", "closes a TLS connection"),
            "maxHeaders": (CLASS, "tells 431 from 400"),
            "rawDataReceived": ("(data)", "passes on what follows a handshake"),
            "requestDone": ("(request)", "starts the idle timeout"),
            "requestFactory": (CLASS, "answers requests on the metrics port"),
            "requests": (INSTANCE, "the request that is being received"),
            "timeoutConnection": ("()", "answers 408"),
            "totalHeadersSize": (CLASS, "limits a request's head"),
        },
    ),
    *_pins(
        "Twisted",
        "twisted.web.http:",
        SERVER + "http_channel.py",
        {"_GenericHTTPChannelProtocol": ("class", "a connection that may switch to HTTP/2 over TLS")},
    ),
    *_pins(
        "Twisted",
        "twisted.web.http:_GenericHTTPChannelProtocol",
        SERVER + "adopted_connection.py",
        {"_channel": (INSTANCE, "tells whether anything was requested on a connection")},
    ),
    *_pins(
        "Twisted",
        "twisted.web.http:Request",
        SERVER + "http_port.py, request_guard.py",
        {
            "finish": ("()", "ends an answer"),
            "method": (CLASS, "what is asked"),
            "path": (CLASS, "what is asked"),
            "process": ("()", "answers a request"),
            "requestHeaders": (INSTANCE, "removes Daphne-Root-Path"),
            "setHeader": ("(name, value)", "answers a request"),
            "setResponseCode": ("(code, message=)", "answers a request"),
            "uri": (CLASS, "the target of a request"),
            "write": ("(data)", "answers a request"),
        },
    ),
    *_pins(
        "Twisted",
        "twisted.web.http:Request.finish",
        SERVER + "http_port.py",
        {"log": (READ, "the factory logs each request")},
    ),
]

AUTOBAHN = [
    *(
        pin
        for module in ("autobahn.websocket.protocol", "autobahn.twisted.websocket")
        for pin in _pins(
            "autobahn",
            f"{module}:",
            SERVER + "library_logs.py",
            {
                "hltype": ("(obj)", "colours a name for the log, which is left out"),
                "hlval": ("(val, color=, bold=)", "colours a value for the log, which is left out"),
            },
        )
    ),
    *_pins(
        "autobahn",
        "autobahn.twisted.websocket:WebSocketAdapterProtocol",
        SERVER + "websocket.py",
        {
            "_closeConnection": ("(abort=)", "disconnects a client that does not read the rest"),
            "connectionLost": ("(reason=)", "frees what refers to the connection"),
            "connectionMade": ("()", "takes the socket over"),
            "dataReceived": ("(data)", "reads without formatting a log line"),
        },
    ),
    *_pins(
        "autobahn",
        "autobahn.websocket.protocol:WebSocketProtocol",
        SERVER + "websocket.py",
        {
            "STATE_CONNECTING": (CLASS, "the handshake is not over"),
            "STATE_OPEN": (CLASS, "both sides may send"),
            "_dataReceived": ("(data)", "parses what the client has sent"),
            "closeHandshakeTimeoutCall": (INSTANCE, "the timer of a close handshake"),
            "data": (INSTANCE, "what has been received and not parsed"),
            "dropConnection": ("(abort=)", "disconnects"),
            "localCloseCode": (INSTANCE, "counts closes by code"),
            "onCloseHandshakeTimeout": ("()", "disconnects a client that does not answer a close"),
            "onFrameBegin": ("()", "counts control frames"),
            "onPong": ("(payload)", "finds clients that do not read"),
            "processData": ("()", "refuses a message by its first byte"),
            "remoteCloseCode": (INSTANCE, "counts closes by code"),
            "send_queue": (INSTANCE, "empty when nothing is queued"),
            "sendClose": ("(code=, reason=)", "closes with a reason"),
            "sendCloseFrame": ("(code=, reasonUtf8=, isReply=)", "starts the timer of a close"),
            "sendData": ("(data, sync=, chopsize=)", "knows when something is queued"),
            "sendPing": ("(payload=)", "pings behind what is queued"),
            "state": (INSTANCE, "whether both sides may send"),
        },
    ),
    *_pins(
        "autobahn",
        "autobahn.websocket.protocol:WebSocketProtocol._connectionMade",
        SERVER + "websocket.py",
        {"CONFIG_ATTRS": (READ, "an empty list keeps options in the class")},
    ),
    *_pins(
        "autobahn",
        "autobahn.websocket.protocol:WebSocketProtocol.sendCloseFrame",
        SERVER + "websocket.py",
        {"closeHandshakeTimeout": (READ, "with 0 Autobahn starts no timer of its own")},
    ),
    *_pins(
        "autobahn",
        "autobahn.websocket.protocol:WebSocketServerProtocol",
        SERVER + "websocket.py",
        {
            "CONFIG_ATTRS": (CLASS, "the options that are copied into the class"),
            "current_frame": (INSTANCE, "None between two frames"),
            "http_headers": (INSTANCE, "the handshake, which is freed"),
            "http_request_data": (INSTANCE, "the handshake, which is freed"),
        },
    ),
    *_pins(
        "autobahn",
        "autobahn.websocket.protocol:FrameHeader",
        SERVER + "websocket.py",
        {"opcode": (INSTANCE, "tells control frames from data")},
    ),
    *_pins(
        "autobahn",
        "autobahn.websocket.types:ConnectionRequest",
        SERVER + "websocket.py",
        {"headers": (INSTANCE, "the handshake, which is freed")},
    ),
    *_pins(
        "autobahn",
        "autobahn.websocket.types:ConnectionDeny",
        SERVER + "websocket.py",
        {"BAD_REQUEST": (CLASS, "refuses a handshake"), "__init__": ("(code, reason=)", "refuses a handshake")},
    ),
]

DAPHNE = [
    *_pins(
        "daphne",
        "daphne.server:Server",
        SERVER + "daphne_server.py, checked_server.py",
        {
            "abort_start": (INSTANCE, "an endpoint is unavailable"),
            "application": (INSTANCE, "the ASGI application"),
            "application_checker": ("()", "replaced by a supervised task"),
            "application_close_timeout": (INSTANCE, "cancels an application whose client has disconnected"),
            "connections": (INSTANCE, "the WebSockets and requests in progress"),
            "create_application": ("(protocol, scope)", "completes the scope"),
            "endpoints": (INSTANCE, "a worker with a supervisor listens on none"),
            "handle_reply": ("(protocol, message)", "what an application sends"),
            "http_factory": (INSTANCE, "its connections are ours"),
            "http_timeout": (INSTANCE, "follows the monotonic clock"),
            "kill_all_applications": ("()", "a clean shutdown"),
            "listen_success": ("(port)", "knows the ports to close in a drain"),
            "protocol_connected": ("(protocol)", "follows the monotonic clock"),
            "protocol_disconnected": ("(protocol)", "forgets a connection at once"),
            "run": ("()", "adds hooks before the reactor runs"),
            "stop": ("()", "ends the worker"),
            "timeout_checker": ("()", "replaced by a supervised task"),
            "websocket_connect_timeout": (INSTANCE, "follows the monotonic clock"),
            "websocket_timeout": (INSTANCE, "follows the monotonic clock"),
            "ws_factory": (INSTANCE, "its connections are ours"),
        },
    ),
    *_pins(
        "daphne",
        "daphne.server:Server.run",
        SERVER + "daphne_server.py",
        {
            "signal_handlers": (READ, "False: the worker handles signals"),
            "kill_all_applications": (READ, "is called before shutdown"),
        },
    ),
    *_pins(
        "daphne",
        "daphne.ws_protocol:WebSocketProtocol",
        SERVER + "websocket.py, checked_server.py",
        {
            "clean_headers": (INSTANCE, "the handshake, which is freed"),
            "handle_exception": ("(exception)", "answers a handshake once"),
            "handle_reply": ("(message)", "closes with a reason"),
            "handshake_deferred": (INSTANCE, "there while a handshake waits for its answer"),
            "onClose": ("(wasClean, code, reason)", "the handshake may have failed"),
            "onConnect": ("(request)", "refuses subprotocols that are not ASCII"),
            "onMessage": ("(payload, isBinary)", "drops messages after a close"),
            "onOpen": ("()", "frees the handshake"),
            "request": (INSTANCE, "the handshake"),
            "server": (INSTANCE, "the server of a connection"),
            "serverAccept": ("(subprotocol=)", "the handshake may be over"),
            "serverClose": ("(code=)", "ends a connection past its time limit"),
            "serverReject": ("()", "the handshake may be over"),
        },
    ),
    *_pins(
        "daphne",
        "daphne.ws_protocol:WebSocketFactory",
        SERVER + "websocket.py",
        {"server_class": (INSTANCE, "the server of a connection")},
    ),
    *_pins(
        "daphne",
        "daphne.http_protocol:WebRequest",
        SERVER + "request_guard.py, checked_server.py, daphne_server.py",
        {
            "basic_error": ("(status, status_text, body)", "refuses an ambiguous target"),
            "check_timeouts": ("()", "answers a request past its time limit"),
            "process": ("()", "guards each request"),
            "request_start": (INSTANCE, "its time limit follows the monotonic clock"),
        },
    ),
    *_pins(
        "daphne",
        "daphne.cli:CommandLineInterface",
        SERVER + "command_line.py",
        {
            "entrypoint": ("()", "reads the command line"),
            "parser": (INSTANCE, "other defaults"),
            "server_class": (CLASS, "another server"),
        },
    ),
    *_pins(
        "daphne",
        "daphne.cli:CommandLineInterface.run",
        SERVER + "command_line.py",
        {"server_class": (READ, "another server"), "abort_start": (READ, "the server has exited by itself")},
    ),
]

REDIS_PY = [
    *_pins(
        "redis",
        "redis.asyncio.connection:AbstractConnection",
        REDIS + "connection.py, sentinel.py",
        {
            "_writer": (INSTANCE, "its transport is taken over"),
            "disconnect": (
                "(nowait=, error=, failure_count=, health_check_failed=)",
                "disconnects from a server that is not the master",
            ),
            "is_connected": (PROPERTY, "connects once"),
            "send_command": ("(*args, **kwargs)", "SUBSCRIBE and ROLE"),
        },
    ),
    *_pins(
        "redis",
        "redis.asyncio.sentinel:SentinelManagedConnection",
        REDIS + "sentinel.py",
        {
            "connect": ("()", "disconnects from the sentinels"),
            "connect_to": ("(address)", "checks that a server is the master"),
            "connection_pool": (INSTANCE, "the sentinels"),
            "host": (INSTANCE, "names the server in an error"),
            "port": (INSTANCE, "names the server in an error"),
            "read_response": (
                "(disable_decoding=, timeout=, disconnect_on_error=, push_request=)",
                "the answer to ROLE",
            ),
        },
    ),
    *_pins(
        "redis",
        "redis.asyncio.sentinel:SentinelConnectionPool",
        REDIS + "sentinel.py",
        {"sentinel_manager": (INSTANCE, "the sentinels"), "service_name": (INSTANCE, "names the master in an error")},
    ),
    *_pins(
        "redis",
        "redis.asyncio.sentinel:Sentinel",
        REDIS + "sentinel.py",
        {"aclose": ("()", "disconnects from the sentinels")},
    ),
    *_pins(
        "redis",
        "redis.asyncio.connection:ConnectionPool",
        "clock/redis/layer.py",
        {"get_connection": ("(command_name=, *keys, **options)", "a connection for a subscription")},
    ),
    *_pins(
        "redis",
        "redis.asyncio.connection:",
        "tournament/configuration/redis_host.py",
        {"parse_url": ("(url)", "reads REDIS_URL")},
    ),
    *_pins(
        "redis",
        "redis.connection:",
        "tournament/configuration/network_parsers.py",
        {"parse_url": ("(url)", "checks REDIS_URL")},
    ),
    *_pins(
        "hiredis",
        "hiredis:Reader",
        "clock/redis/messages.py",
        {
            "feed": ("builtin", "parses replies"),
            "gets": ("builtin", "parses replies"),
            "len": ("builtin", "limits what is not parsed"),
        },
    ),
]

CHANNELS_REDIS = [
    *_pins(
        "channels-redis",
        "channels_redis.pubsub:RedisPubSubChannelLayer",
        REDIS + "group_layer.py",
        {
            "_get_layer": ("()", "the layer of this event loop"),
            "_serializer": (INSTANCE, "reads messages"),
        },
    ),
    *_pins(
        "channels-redis",
        "channels_redis.pubsub:RedisPubSubLoopLayer",
        REDIS + "group_layer.py",
        {
            "_get_group_channel_name": ("(group)", "the Redis channel of a group"),
            "_get_shard": ("(channel_or_group_name)", "the server of a channel"),
        },
    ),
    *_pins(
        "channels-redis",
        "channels_redis.pubsub:RedisSingleShardConnection",
        REDIS + "group_layer.py",
        {"host": (INSTANCE, "the address of a server")},
    ),
    *_pins(
        "channels-redis",
        "channels_redis.utils:",
        REDIS + "group_layer.py",
        {"create_pool": ("(host)", "connections to a server")},
    ),
    *_pins(
        "channels-redis",
        "channels_redis.serializers:BaseMessageSerializer",
        REDIS + "serializer.py",
        {
            "crypter": (INSTANCE, "messages that are not encrypted are read with one call"),
            "deserialize": ("(message)", "reads a message"),
            "random_prefix_length": (INSTANCE, "messages without a prefix are read with one call"),
        },
    ),
    *_pins(
        "channels-redis",
        "channels_redis.serializers:MsgPackSerializer",
        REDIS + "serializer.py",
        {"from_bytes": ("builtin", "msgpack's reader")},
    ),
    *_pins(
        "channels-redis",
        "channels_redis.serializers:SerializersRegistry",
        REDIS + "serializer.py",
        {"register_serializer": ("(format, serializer_class)", "adds a serializer")},
    ),
]

STATIC_FILES = [
    *_pins(
        "Django",
        "django.contrib.staticfiles.storage:HashedFilesMixin",
        "tournament/static_files/build.py",
        {
            "file_hash": ("(name, content=)", "checks a file against its name"),
            "max_post_process_passes": (CLASS, "follows imports of imports"),
            "patterns": (CLASS, "finds imports in minified modules"),
        },
    ),
    *_pins(
        "Django",
        "django.contrib.staticfiles.storage:ManifestFilesMixin",
        "tournament/static_files/build.py",
        {"hashed_files": (INSTANCE, "the names of built files")},
    ),
    *_pins(
        "Django",
        "django.contrib.staticfiles.storage:StaticFilesStorage",
        "tournament/static_files/build.py",
        {"path": ("(name)", "where a file is")},
    ),
    *_pins(
        "servestatic",
        "servestatic.storage:CompressedManifestStaticFilesStorage",
        "tournament/static_files/build.py",
        {
            "add_stats_to_manifest": ("()", "built files are read once"),
            "create_compressor": ("(**kwargs)", "gzip alone"),
            "keep_only_hashed_files": (PROPERTY, "no file under its plain name"),
            "post_process": ("(*args, **kwargs)", "minifies first"),
        },
    ),
]

PINS: tuple[Pin, ...] = (*TWISTED, *AUTOBAHN, *DAPHNE, *REDIS_PY, *CHANNELS_REDIS, *STATIC_FILES)


def main() -> None:
    """Check the pins, or those of one package, and print what is broken."""
    pins = [pin for pin in PINS if not sys.argv[1:] or pin.owner.split(".")[0].partition(":")[0] == sys.argv[1]]
    problems = [found for pin in pins if (found := problem(pin))]
    print("\n".join(problems) or f"all {len(pins)} names are as pinned")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
