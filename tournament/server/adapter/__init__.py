"""Everything that the worker uses of Twisted, Autobahn, Daphne and uvloop: the only package that imports them.

The classes here override methods and read attributes that these libraries do not document. The policy of the worker
(limits, drain, heartbeat, fan-out) is outside, in plain classes. It meets the adapter in these interfaces alone:

- `daphne_server.ServerEvents`: the worker, as the server calls it;
- `connection_events.ConnectionEvents`: the policy of a WebSocket, as `websocket.WebSocket` calls it, and the section
  "For the policy" of that class, which the policy calls;
- `daphne_server.DaphneServer.adopt` and `adopted_connection.AdoptedConnection`: connections that a supervisor accepted;
- `http_channel.HttpRules`: which HTTP requests are accepted, and how long a client may take;
- `http_port.Answer`: how a small HTTP port beside the main one is answered.

tests/project/libraries/test_internals.py pins each name that is used here, and says where to look when one is missing.
"""
