// The same service on Bun's own server: bun bun.js PORT REDIS_PORT CHANNEL

const [port, redisPort, channel] = process.argv.slice(2);

const clients = new Set();
const server = Bun.serve({
  port: Number(port),
  hostname: "127.0.0.1",
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response(null, { status: 404 });
  },
  websocket: {
    perMessageDeflate: false,
    open(client) {
      clients.add(client);
    },
    close(client) {
      clients.delete(client);
    },
    message() {},
  },
});

// The message is MessagePack. It contains the frame's text unchanged. Only the newest frame counts.
let received = "";
Bun.connect({
  hostname: "127.0.0.1",
  port: Number(redisPort),
  socket: {
    open(redis) {
      redis.write(`SUBSCRIBE ${channel}\r\n`);
    },
    data(_redis, data) {
      received += data.toString("latin1");
      const start = received.lastIndexOf('{"message"');
      const end = received.indexOf("}", start) + 1;
      if (start < 0 || end === 0) return;
      const frame = received.slice(start, end);
      received = received.slice(end);
      for (const client of clients) client.send(frame); // slightly faster here than `publish`
    },
  },
});
