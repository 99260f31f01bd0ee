// The clock on Node's `ws`: node ws.js PORT REDIS_PORT CHANNEL NODE_MODULES

const http = require("node:http");
const net = require("node:net");
const path = require("node:path");
const [port, redisPort, channel, modules] = process.argv.slice(2);
const { WebSocketServer, WebSocket } = require(path.join(modules, "ws"));

const pages = http.createServer((request, response) => response.writeHead(404, { "Content-Length": 0 }).end());
const clients = new WebSocketServer({ server: pages, perMessageDeflate: false, clientTracking: true });
pages.listen({ port: Number(port), host: "127.0.0.1", backlog: 4096 });

// The message is MessagePack, but what it carries is the frame's text, verbatim. Only the newest counts.
const redis = net.connect({ port: Number(redisPort), host: "127.0.0.1" });
redis.setNoDelay(true);
redis.write(`SUBSCRIBE ${channel}\r\n`);
let heard = "";
redis.on("data", (data) => {
  heard += data.toString("latin1");
  const start = heard.lastIndexOf('{"message"');
  const end = heard.indexOf("}", start) + 1;
  if (start < 0 || end === 0) return;
  const frame = Buffer.from(heard.slice(start, end), "latin1");
  heard = heard.slice(end);
  for (const client of clients.clients) {
    // A client whose socket is full misses this one.
    if (client.readyState === WebSocket.OPEN && client.bufferedAmount === 0) client.send(frame, { binary: false });
  }
});
