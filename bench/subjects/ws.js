// The same service on Node's `ws`: node ws.js PORT REDIS_PORT CHANNEL NODE_MODULES

import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";

const [port, redisPort, channel, modules] = process.argv.slice(2);
const { WebSocketServer, WebSocket } = createRequire(`${modules}/`)("ws");

const pages = http.createServer((request, response) => response.writeHead(404, { "Content-Length": 0 }).end());
const clients = new WebSocketServer({ server: pages, perMessageDeflate: false, clientTracking: true });
pages.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 });

// The message is MessagePack. It contains the frame's text unchanged. Only the newest frame counts.
const redis = net.connect({ port: Number(redisPort), host: "127.0.0.1" });
redis.setNoDelay(true);
redis.write(`SUBSCRIBE ${channel}\r\n`);
let received = "";
redis.on("data", (data) => {
  received += data.toString("latin1");
  const start = received.lastIndexOf('{"message"');
  const end = received.indexOf("}", start) + 1;
  if (start < 0 || end === 0) return;
  const frame = Buffer.from(received.slice(start, end), "latin1");
  received = received.slice(end);
  for (const client of clients.clients) {
    // A client whose buffer is not empty misses this frame.
    if (client.readyState === WebSocket.OPEN && client.bufferedAmount === 0) client.send(frame, { binary: false });
  }
});
