/* A client's stream: the handshake, and the frames of RFC 6455. */

#include "generator.h"

/* The example of RFC 6455, section 1.3. A server cannot tell whether a key is random, so all clients send this one. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define CLIENT_TIMEOUT_NS (30 * 1000 * MS)  /* for one client to connect */
#define CONNECT_TIMEOUT_NS (90 * 1000 * MS) /* for all of them */
#define CHECK_INTERVAL_NS (500 * MS)        /* between two checks of these timeouts */

/* --- Connecting --- */

/* Close a client and count the failure. Return -1, as the functions that read do after a failure. */
long fail(struct client *client, const char *reason)
{
    close_connection(&client->stream);
    close_connection(&client->probe);
    count_failure(client->connecting ? &batch_failures : &stream_failures, reason);
    batch.connecting -= client->connecting;
    client->connecting = false;
    return -1;
}

void count_if_connected(struct client *client)
{
    if (!client->connecting || !client->first_frame_ns || client->calls_left) return;
    client->connecting = false;
    batch.connecting--;
    batch.handshakes_ns[batch.connected++] = client->handshake_ns - client->started_ns;
}

static void open_client(void)
{
    struct client *client = calloc(1, sizeof *client);
    clients = realloc(clients, (client_count + 1) * sizeof *clients);
    if (!client || !clients) abort();
    clients[client_count++] = client;
    batch.opened++;
    batch.connecting++;
    client->class = batch.class;
    client->connecting = true;
    client->lenient = batch.lenient;
    client->calls_left = batch.calls;
    client->has_probes = batch.calls > 0;
    client->started_ns = now_ns();
    if (!open_connection(&client->stream, STREAM, client)) fail(client, "no more open files or ports");
    else if (client->has_probes) ask(client);
}

void send_handshake(struct client *client)
{
    char request[768];
    int port = ntohs(server.sin_port);
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: http://127.0.0.1:%d\r\n"
                          "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n"
                          "Sec-WebSocket-Version: 13\r\n\r\n",
                          batch.path, port, port);
    if (!send_request(&client->stream, request, length)) fail(client, "cannot connect");
}

void start_connecting(void)
{
    batch.opened = batch.connecting = batch.connected = batch.non_200_answers = 0;
    batch.started_ns = batch.checked_ns = now_ns();
    batch.handshakes_ns = realloc(batch.handshakes_ns, (batch.requested + 1) * sizeof *batch.handshakes_ns);
    if (!batch.handshakes_ns) abort();
    window.total_ms = 0;
    for (long i = 0; i < client_count; i++) clients[i]->total_ticks = clients[i]->total_ms = 0;
}

static void fail_overdue_clients(void)
{
    int64_t now = now_ns();
    bool over = now - batch.started_ns > CONNECT_TIMEOUT_NS;
    if (now - batch.checked_ns < CHECK_INTERVAL_NS) return;
    batch.checked_ns = now;
    for (long i = 0; i < client_count; i++)
        if (clients[i]->connecting && (over || now - clients[i]->started_ns > CLIENT_TIMEOUT_NS))
            fail(clients[i], clients[i]->first_frame_ns ? "no answer from /clock/now in time"
                             : clients[i]->handshake_ns ? "no frame in time"
                                                        : "no 101 in time");
    for (; over && batch.opened < batch.requested; batch.opened++) count_failure(&batch_failures, "not opened in time");
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* Return whether the command is finished. */
bool continue_connecting(void)
{
    fail_overdue_clients();
    while (batch.opened < batch.requested && batch.connecting < batch.parallel) open_client();
    if (batch.opened < batch.requested || batch.connecting) return false;
    qsort(batch.handshakes_ns, batch.connected, sizeof *batch.handshakes_ns, compare);
    printf("{\"connected\": %ld, \"seconds\": %.4f, \"non_200_answers\": %ld, ", batch.connected,
           (now_ns() - batch.started_ns) / 1e9, batch.non_200_answers);
    if (batch.connected) printf("\"handshake_p99_ms\": %.3f, ", batch.handshakes_ns[batch.connected * 99 / 100] / 1e6);
    else printf("\"handshake_p99_ms\": null, ");
    print_failures(&batch_failures);
    return true;
}

/* --- Reading --- */

static long read_handshake(struct client *client, const char *bytes, size_t count)
{
    char head[MAX_HEAD], reason[64];
    long length = read_head(bytes, count, head);
    const char *accept;
    if (length < 0) return fail(client, "something else before the 101");
    if (!length) return 0;
    if (atoi(head + 9) != 101) {
        snprintf(reason, sizeof reason, "the answer to the handshake was %d", atoi(head + 9));
        return fail(client, reason);
    }
    accept = header(head, "Sec-WebSocket-Accept");
    if (!accept || strncmp(accept, ACCEPT "\r", sizeof ACCEPT)) return fail(client, "a wrong Sec-WebSocket-Accept");
    client->handshake_ns = now_ns();
    client->stream.state = STREAMING;
    return length;
}

static void count_tick(struct client *client, int64_t at_ms, int64_t received_ns)
{
    struct class *class = client->class;
    int64_t last_at_ms = client->last_at_ms, gap_ns = received_ns - client->last_received_ns;
    client->last_at_ms = at_ms;
    if (!client->first_frame_ns) {
        client->first_frame_ns = received_ns;
        count_if_connected(client);
    }
    if (!window.open || !client->counted) return;
    if (at_ms >= window.from_ms && at_ms < window.to_ms && at_ms > last_at_ms) {
        if (!client->ticks++) client->first_tick_ms = at_ms;
        client->last_tick_ms = at_ms;
    }
    if (window.ended_ns) return; /* only ticks are counted during the grace period */
    if (gap_ns > client->largest_gap_ns) client->largest_gap_ns = gap_ns;
    client->last_received_ns = received_ns;
    window.frames++;
    class->frames++;
    count_time(class->late, received_ns - at_ms * MS, 1);
    class->duplicates += at_ms == last_at_ms;
    class->steps_back += at_ms < last_at_ms;
}

static long read_tick(struct client *client, const unsigned char *text, size_t length, int64_t received_ns)
{
    const unsigned char *at = memmem(text, length, "\"at\":", 5), *end = text + length;
    int64_t at_ms = 0;
    if (!at) return client->lenient ? (long)length : fail(client, "a text that is not a tick");
    for (at += 5; at < end && *at == ' '; at++) {}
    for (; at < end && *at >= '0' && *at <= '9'; at++) at_ms = 10 * at_ms + *at - '0';
    count_tick(client, at_ms, received_ns);
    return length;
}

/* Read a frame (RFC 6455, section 5.2). */
static long read_frame(struct client *client, const unsigned char *bytes, size_t count, int64_t received_ns)
{
    size_t start = 2, length;
    if (count < 2) return 0;
    if (bytes[1] & 0x80) return fail(client, "a masked frame");
    length = bytes[1];
    if (length == 126) {
        if (count < 4) return 0;
        start = 4;
        length = bytes[2] << 8 | bytes[3];
    }
    if (length == 127) return fail(client, "a frame that is too long");
    if (count < start + length) return 0;
    if (bytes[0] == 0x81) {
        if (read_tick(client, bytes + start, length, received_ns) < 0) return -1;
    } else if (bytes[0] == 0x89 && length <= 125) {
        /* A client must mask its frames. A mask of zeros leaves the payload unchanged. */
        unsigned char pong[6 + 125] = {0x8A, 0x80 | length};
        memcpy(pong + 6, bytes + 2, length);
        send(client->stream.fd, pong, 6 + length, MSG_NOSIGNAL);
        window.pings++;
    } else if (bytes[0] == 0x88 && length <= 125) {
        char reason[64] = "closed by the server without a code";
        if (length >= 2)
            snprintf(reason, sizeof reason, "closed by the server: %d", bytes[start] << 8 | bytes[start + 1]);
        return fail(client, reason);
    } else {
        return fail(client, "a frame that is not text, ping or close");
    }
    return start + length;
}

long read_stream(struct client *client, const char *bytes, size_t count, int64_t received_ns)
{
    if (client->stream.state == WAITING) return read_handshake(client, bytes, count);
    return read_frame(client, (const unsigned char *)bytes, count, received_ns);
}
