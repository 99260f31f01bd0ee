/* The load generator: WebSocket clients of one server, in one epoll loop. generator.py compiles and drives it.

   generator PORT    the server's port on the loopback interface

It reads commands from standard input, one per line, and answers each with one line of JSON on standard output. It takes
times from the wall clock in nanoseconds, because a frame's `at` is on that clock, and prints them in milliseconds.

   connect COUNT PARALLEL NOW_CALLS PATH    open COUNT streams, at most PARALLEL at a time; each client also sends
                                            NOW_CALLS requests for /clock/now, one after the other, on one connection
   begin                                    start to measure the clients that are streaming now
   end                                      stop measuring and print what they received
   close                                    close all connections

A client is strict: it accepts a complete 101 with the correct key, and after it only whole unmasked text, ping and close
frames, where each text is a tick. Anything else is a failure, which is counted by its reason and ends that client. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The example of RFC 6455, section 1.3. A server cannot tell whether a key is random, so all clients send this one. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define MS 1000000LL                   /* nanoseconds */
#define TICK_MS 10
#define GRACE_NS (300 * MS)            /* ticks published before the end of a window may arrive this late */
#define CLIENT_TIMEOUT_NS (30 * 1000 * MS)  /* for one client to connect */
#define CONNECT_TIMEOUT_NS (90 * 1000 * MS) /* for all of them */
#define CHECK_INTERVAL_NS (500 * MS)   /* between two checks of these timeouts */
#define POLL_MS 20                     /* between two checks of a command that is in progress */
#define MAX_INCOMPLETE 8192            /* bytes; no frame or answer is longer */
#define BUCKET_NS 20000LL              /* the resolution of lateness */
#define BUCKETS 1000000                /* so that the histogram of lateness ends at 20 s */
#define MAX_REASONS 24

enum state { CONNECTING, WAITING, STREAMING, CLOSED };
struct client;

/* One TCP connection: a client's stream, or the one for its requests for /clock/now. */
struct connection {
    struct client *client;
    enum state state;
    int fd;
    size_t kept; /* bytes of `bytes` in use: the start of a message whose rest has not arrived */
    char bytes[MAX_INCOMPLETE];
};

struct client {
    /* The window's counters come first, so that they share the processor's cache lines. */
    bool counted;
    uint32_t ticks;
    int64_t last_at_ms, last_received_ns, largest_gap_ns;
    /* Connecting. A client is connected when it has the 101, a frame, and all its answers from /clock/now. */
    bool connecting;
    int calls_left;
    int64_t started_ns, handshake_ns, first_frame_ns;
    struct connection stream, now;
};

struct failures {
    int kinds;
    struct { char reason[96]; long count; } of[MAX_REASONS];
};

static int epoll_fd;
static struct sockaddr_in server;
static char scratch[MAX_INCOMPLETE + 65536];

static struct client **clients;
static long client_count;

static enum { NO_COMMAND, CONNECT, END } in_progress;

/* The clients of one `connect` command. */
static struct {
    long requested, opened, connecting, connected, non_200_answers;
    int parallel, now_calls;
    int64_t started_ns, checked_ns;
    char path[256];
    int64_t *handshakes_ns; /* of the connected clients: how long each took */
} batch;

static struct {
    bool open;
    int64_t started_ns, ended_ns, from_ms, to_ms;
    long clients, frames, duplicates, steps_back;
    double cpu_started_s, cpu_ended_s;
    uint32_t late[BUCKETS];
} window;

static struct failures batch_failures, stream_failures;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000 * MS + t.tv_nsec;
}

static double cpu_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* --- Failures --- */

static void count_failure(struct failures *failures, const char *reason)
{
    int i = 0;
    while (i < failures->kinds && strcmp(failures->of[i].reason, reason)) i++;
    if (i == MAX_REASONS) i--; /* the last one also counts those for which there is no room */
    if (i == failures->kinds) {
        snprintf(failures->of[i].reason, sizeof failures->of[i].reason, "%s", reason);
        failures->of[i].count = 0;
        failures->kinds++;
    }
    failures->of[i].count++;
}

/* Print the failures as the last member of the answer, and forget them. */
static void print_failures(struct failures *failures)
{
    printf("\"failures\": {");
    for (int i = 0; i < failures->kinds; i++)
        printf("%s\"%s\": %ld", i ? ", " : "", failures->of[i].reason, failures->of[i].count);
    printf("}}\n");
    fflush(stdout);
    failures->kinds = 0;
}

/* --- Opening and closing --- */

static void close_connection(struct connection *connection)
{
    if (connection->state != CLOSED) close(connection->fd);
    connection->state = CLOSED;
}

/* Close a client and count the failure. Return -1, as the functions that read do after a failure. */
static long fail(struct client *client, const char *reason)
{
    close_connection(&client->stream);
    close_connection(&client->now);
    count_failure(client->connecting ? &batch_failures : &stream_failures, reason);
    batch.connecting -= client->connecting;
    client->connecting = false;
    return -1;
}

static void count_if_connected(struct client *client)
{
    if (!client->connecting || !client->first_frame_ns || client->calls_left) return;
    client->connecting = false;
    batch.connecting--;
    batch.handshakes_ns[batch.connected++] = client->handshake_ns - client->started_ns;
}

static void open_connection(struct client *client, struct connection *connection)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = connection};
    connection->client = client;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) {
        fail(client, "no more open files");
        return;
    }
    connection->state = CONNECTING;
    if (connect(connection->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
        fail(client, "cannot connect");
    else
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event);
}

static void open_client(void)
{
    struct client *client = calloc(1, sizeof *client);
    clients = realloc(clients, (client_count + 1) * sizeof *clients);
    if (!client || !clients) abort();
    clients[client_count++] = client;
    batch.opened++;
    batch.connecting++;
    client->connecting = true;
    client->calls_left = batch.now_calls;
    client->started_ns = now_ns();
    client->stream.state = client->now.state = CLOSED;
    open_connection(client, &client->stream);
    if (client->calls_left && client->connecting) open_connection(client, &client->now);
}

static void send_request(struct connection *connection)
{
    char request[768];
    int port = ntohs(server.sin_port), length;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (connection == &connection->client->now) {
        length = snprintf(request, sizeof request, "GET /clock/now HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", port);
    } else {
        length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: http://127.0.0.1:%d\r\n"
                          "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " KEY "\r\n"
                          "Sec-WebSocket-Version: 13\r\n\r\n",
                          batch.path, port, port);
    }
    if (connection->state == CONNECTING) epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
    connection->state = WAITING;
    if (send(connection->fd, request, length, MSG_NOSIGNAL) != length) fail(connection->client, "cannot connect");
}

/* --- Reading. Each function returns the bytes it used, 0 if it needs more, or -1 after a failure. --- */

/* Return the value of a header in `head`, which ends with an empty line and a NUL; NULL if it is missing. */
static const char *header(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, length) && line[2 + length] == ':')
            return line + 3 + length + strspn(line + 3 + length, " \t");
    return NULL;
}

/* Copy the status line and headers of an answer to `head`. */
static long read_head(const char *bytes, size_t count, char head[MAX_INCOMPLETE])
{
    const char *end = memmem(bytes, count, "\r\n\r\n", 4);
    if (memcmp(bytes, "HTTP/1.1 ", count < 9 ? count : 9)) return -1;
    if (!end) return 0;
    if (end + 4 - bytes >= MAX_INCOMPLETE) return -1;
    memcpy(head, bytes, end + 4 - bytes);
    head[end + 4 - bytes] = 0;
    return end + 4 - bytes;
}

static long read_handshake(struct client *client, const char *bytes, size_t count)
{
    char head[MAX_INCOMPLETE], reason[64];
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
    int64_t last_at_ms = client->last_at_ms, late_ns = received_ns - at_ms * MS, bucket = late_ns / BUCKET_NS;
    int64_t gap_ns = received_ns - client->last_received_ns;
    client->last_at_ms = at_ms;
    if (!client->first_frame_ns) {
        client->first_frame_ns = received_ns;
        count_if_connected(client);
    }
    if (!window.open || !client->counted) return;
    if (at_ms >= window.from_ms && at_ms < window.to_ms && at_ms > last_at_ms) client->ticks++;
    if (window.ended_ns) return; /* only ticks are counted during the grace period */
    if (gap_ns > client->largest_gap_ns) client->largest_gap_ns = gap_ns;
    client->last_received_ns = received_ns;
    window.frames++;
    window.late[bucket < 0 ? 0 : bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    window.duplicates += at_ms == last_at_ms;
    window.steps_back += at_ms < last_at_ms;
}

static long read_tick(struct client *client, const unsigned char *text, size_t length, int64_t received_ns)
{
    const unsigned char *at = memmem(text, length, "\"at\":", 5), *end = text + length;
    int64_t at_ms = 0;
    if (!at) return fail(client, "a text that is not a tick");
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
    if (length > MAX_INCOMPLETE - 8) return fail(client, "a frame that is too long");
    if (count < start + length) return 0;
    if (bytes[0] == 0x81) {
        if (read_tick(client, bytes + start, length, received_ns) < 0) return -1;
    } else if (bytes[0] == 0x89 && length <= 125) {
        /* A client must mask its frames. A mask of zeros leaves the payload unchanged. */
        unsigned char pong[6 + 125] = {0x8A, 0x80 | length};
        memcpy(pong + 6, bytes + 2, length);
        send(client->stream.fd, pong, 6 + length, MSG_NOSIGNAL);
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

static long read_now_answer(struct client *client, const char *bytes, size_t count)
{
    char head[MAX_INCOMPLETE];
    long length = read_head(bytes, count, head);
    const char *content_length, *end;
    if (length < 0) return fail(client, "/clock/now: not an HTTP answer");
    if (!length) return 0;
    if ((content_length = header(head, "Content-Length"))) {
        length += atoi(content_length);
        if (count < (size_t)length) return 0;
    } else if (header(head, "Transfer-Encoding")) {
        if (!(end = memmem(bytes + length - 2, count - length + 2, "\r\n0\r\n\r\n", 7))) return 0;
        length = end + 7 - bytes;
    } else {
        return fail(client, "/clock/now: an answer without a length");
    }
    if (atoi(head + 9) != 200) batch.non_200_answers++;
    if (--client->calls_left) {
        send_request(&client->now);
    } else {
        close_connection(&client->now);
        count_if_connected(client);
    }
    return length;
}

/* Receive once, and read every complete message. */
static void receive(struct connection *connection)
{
    struct client *client = connection->client;
    int64_t received_ns;
    size_t done = 0, count;
    ssize_t received;
    if (connection->kept) memcpy(scratch, connection->bytes, connection->kept);
    received = recv(connection->fd, scratch + connection->kept, sizeof scratch - connection->kept, 0);
    received_ns = now_ns();
    if (received <= 0) {
        if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
        fail(client, connection == &client->now ? "/clock/now: the connection was closed"
                     : received                 ? "the connection was reset"
                                                : "the connection was closed");
        return;
    }
    count = connection->kept + received;
    while (done < count && connection->state != CLOSED) {
        const char *rest = scratch + done;
        long used;
        if (connection == &client->now) used = read_now_answer(client, rest, count - done);
        else if (connection->state == WAITING) used = read_handshake(client, rest, count - done);
        else used = read_frame(client, (const unsigned char *)rest, count - done, received_ns);
        if (used < 0) return;
        if (!used) break;
        done += used;
    }
    connection->kept = count - done;
    if (connection->state == CLOSED) return;
    if (connection->kept > MAX_INCOMPLETE) fail(client, "a message that is too long");
    else memcpy(connection->bytes, scratch + done, connection->kept);
}

static void handle_event(struct connection *connection, uint32_t events)
{
    if (connection->state == CLOSED) return; /* by an earlier event of the same wait */
    if (connection->state != CONNECTING) {
        receive(connection);
    } else {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error || events & EPOLLERR) fail(connection->client, "cannot connect");
        else send_request(connection);
    }
}

/* --- Commands --- */

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

static void continue_connect(void)
{
    fail_overdue_clients();
    while (batch.opened < batch.requested && batch.connecting < batch.parallel) open_client();
    if (batch.opened < batch.requested || batch.connecting) return;
    qsort(batch.handshakes_ns, batch.connected, sizeof *batch.handshakes_ns, compare);
    printf("{\"connected\": %ld, \"seconds\": %.4f, \"non_200_answers\": %ld, ", batch.connected,
           (now_ns() - batch.started_ns) / 1e9, batch.non_200_answers);
    if (batch.connected) printf("\"handshake_p99_ms\": %.3f, ", batch.handshakes_ns[batch.connected * 99 / 100] / 1e6);
    else printf("\"handshake_p99_ms\": null, ");
    print_failures(&batch_failures);
    in_progress = NO_COMMAND;
}

/* Return the next tick's time, of which no frame has arrived yet. */
static int64_t next_tick_ms(int64_t moment_ns)
{
    return (moment_ns / MS / TICK_MS + 1) * TICK_MS;
}

static void begin_window(void)
{
    memset(&window, 0, sizeof window);
    window.started_ns = now_ns();
    window.from_ms = next_tick_ms(window.started_ns);
    window.to_ms = INT64_MAX;
    for (long i = 0; i < client_count; i++) {
        struct client *client = clients[i];
        client->counted = client->stream.state == STREAMING;
        client->ticks = 0;
        client->largest_gap_ns = 0;
        client->last_received_ns = window.started_ns; /* so that silence from the start or to the end is a gap */
        window.clients += client->counted;
    }
    window.cpu_started_s = cpu_seconds();
    window.open = true;
    printf("{\"clients\": %ld}\n", window.clients);
    fflush(stdout);
}

static void end_window(void)
{
    window.ended_ns = now_ns();
    window.to_ms = next_tick_ms(window.ended_ns);
    window.cpu_ended_s = cpu_seconds();
    in_progress = END;
}

/* Return the lateness that `percent` of the frames do not exceed, by nearest rank. */
static double late_ms(double percent)
{
    long rank = window.frames * percent / 100, seen = 0, i = 0;
    while ((seen += window.late[i]) <= rank && i < BUCKETS - 1) i++;
    return (i + 0.5) * BUCKET_NS / 1e6;
}

static void continue_end(void)
{
    int64_t gap_ns = 0;
    long worst = window.clients ? INT32_MAX : 0;
    double seconds = (window.ended_ns - window.started_ns) / 1e9;
    if (now_ns() - window.ended_ns < GRACE_NS) return;
    for (long i = 0; i < client_count; i++) {
        int64_t last_gap_ns = window.ended_ns - clients[i]->last_received_ns;
        if (!clients[i]->counted) continue;
        if (clients[i]->ticks < worst) worst = clients[i]->ticks;
        if (clients[i]->largest_gap_ns > gap_ns) gap_ns = clients[i]->largest_gap_ns;
        if (last_gap_ns > gap_ns) gap_ns = last_gap_ns;
    }
    printf("{\"clients\": %ld, \"from_ms\": %lld, \"to_ms\": %lld, \"seconds\": %.4f, \"frames\": %ld, "
           "\"worst_ticks\": %ld, ",
           window.clients, (long long)window.from_ms, (long long)window.to_ms, seconds, window.frames, worst);
    if (window.frames) printf("\"late_p50_ms\": %.3f, \"late_p99_ms\": %.3f, ", late_ms(50), late_ms(99));
    else printf("\"late_p50_ms\": null, \"late_p99_ms\": null, ");
    printf("\"largest_gap_ms\": %.3f, \"duplicates\": %ld, \"steps_back\": %ld, \"cpu_share\": %.4f, ", gap_ns / 1e6,
           window.duplicates, window.steps_back, (window.cpu_ended_s - window.cpu_started_s) / seconds);
    print_failures(&stream_failures);
    window.open = false;
    in_progress = NO_COMMAND;
}

static void close_all(void)
{
    for (long i = 0; i < client_count; i++) {
        close_connection(&clients[i]->stream);
        close_connection(&clients[i]->now);
        free(clients[i]);
    }
    printf("{\"closed\": %ld}\n", client_count);
    fflush(stdout);
    client_count = 0;
    window.open = false;
    stream_failures.kinds = 0;
}

static void execute(const char *line)
{
    batch.path[0] = 0;
    if (sscanf(line, "connect %ld %d %d %255s", &batch.requested, &batch.parallel, &batch.now_calls, batch.path) == 4) {
        batch.opened = batch.connecting = batch.connected = batch.non_200_answers = 0;
        batch.started_ns = batch.checked_ns = now_ns();
        batch.handshakes_ns = realloc(batch.handshakes_ns, (batch.requested + 1) * sizeof *batch.handshakes_ns);
        if (!batch.handshakes_ns) abort();
        in_progress = CONNECT;
    } else if (!strcmp(line, "begin\n")) {
        begin_window();
    } else if (!strcmp(line, "end\n") && window.open) {
        end_window();
    } else if (!strcmp(line, "close\n")) {
        close_all();
    } else {
        printf("{\"error\": \"unknown command, or not possible now\"}\n");
        fflush(stdout);
    }
}

int main(int count, char **arguments)
{
    struct rlimit files;
    struct epoll_event events[512], commands = {.events = EPOLLIN, .data.ptr = NULL};
    if (count != 2) return 2;
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(arguments[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &commands);
    for (;;) {
        bool commanded = false;
        int ready = epoll_wait(epoll_fd, events, 512, in_progress == NO_COMMAND ? -1 : POLL_MS);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr) handle_event(events[i].data.ptr, events[i].events);
            else commanded = true;
        }
        if (in_progress == CONNECT) continue_connect();
        else if (in_progress == END) continue_end();
        /* Commands come after the other events, because `close` frees what these point to, and one at a time. */
        if (commanded && in_progress == NO_COMMAND) {
            char line[512];
            if (!fgets(line, sizeof line, stdin)) return 0;
            execute(line);
        }
    }
}
