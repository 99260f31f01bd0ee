// The clock on Bun's own server: bun bun.js PORT REDIS_PORT CHANNEL

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

// The message is MessagePack, but what it carries is the frame's text, verbatim. Only the newest counts.
let heard = "";
Bun.connect({
  hostname: "127.0.0.1",
  port: Number(redisPort),
  socket: {
    open(redis) {
      redis.write(`SUBSCRIBE ${channel}\r\n`);
    },
    data(_redis, data) {
      heard += data.toString("latin1");
      const start = heard.lastIndexOf('{"message"');
      const end = heard.indexOf("}", start) + 1;
      if (start < 0 || end === 0) return;
      const frame = heard.slice(start, end);
      heard = heard.slice(end);
      for (const client of clients) client.send(frame); // a little quicker here than `publish`
    },
  },
});
