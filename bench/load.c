/* The load generator: WebSocket clients of one server, in one epoll loop. bench/load.py compiles and drives it.

   load PORT KEY ACCEPT    the server's port of the loopback interface, the Sec-WebSocket-Key that every client sends,
                           and the Sec-WebSocket-Accept that belongs to it

Commands come in on standard input, one a line; each is answered on standard output by one line of JSON. Times are taken
from the wall clock in nanoseconds, for a frame's `at` is on that clock, and told in milliseconds.

   connect COUNT PARALLEL NOW_CALLS PATH    open COUNT streams, at most PARALLEL at a time; each with so many requests of
                                            /clock/now, one after the other, over a kept connection of its own
   begin                                    begin to measure the clients that are streaming now
   end                                      end the measurement and tell what they got
   close                                    hang up on the server

A client is strict: the whole 101 comes first, with the right key, and then nothing but whole unmasked text, ping and
close frames, each text a tick. Whatever else comes is a failure, counted by its reason, and ends that client. */

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

#define MS 1000000LL
#define TICK_MS 10
#define GRACE (300 * MS)        /* what was told before the end may still come for so long */
#define CLIENT_LIMIT (30 * 1000 * MS)  /* for one client to get in */
#define CONNECT_LIMIT (90 * 1000 * MS) /* for all of them */
#define LEFTOVER 8192           /* bytes of something that has not come whole: no frame or answer is that long */
#define BUCKET 20000LL          /* the resolution of lateness, nanoseconds */
#define BUCKETS 1000000         /* and so its histogram ends at 20 s */
#define REASONS 24

enum state { DIALLING, ASKING, STREAMING, GONE };
struct client;

/* One TCP connection: a client's stream, or what it asks /clock/now by. */
struct link {
    struct client *client;
    enum state state;
    int fd;
    size_t kept; /* bytes of `bytes` that wait for the rest of what they belong to */
    char bytes[LEFTOVER];
};

struct client {
    /* What the window counts, first, so that it lies together in the processor's cache. */
    bool counted;
    uint32_t got;
    int64_t last_at, last_came, largest_gap;
    /* Getting in. */
    bool in_flight;
    int calls_left;
    int64_t begun, shaken, first, asked;
    struct link stream, page;
};

struct failures {
    int kinds;
    struct { char reason[96]; long count; } of[REASONS];
};

struct samples {
    long count, room;
    int64_t *of;
};

static int epoll_fd;
static struct sockaddr_in server;
static const char *key, *accept_key;
static char scratch[LEFTOVER + 65536];

static struct client **clients;
static long client_count;

/* The command under way: `n`one, `c`onnect or `e`nd. */
static char pending = 'n';
static struct {
    long asked, opened, in_flight, in;
    int parallel, calls;
    int64_t begun, scanned;
    long other_answers;
    char path[256];
    struct samples handshake, first, now;
} entry;

static struct {
    bool open;
    int64_t begun, ended, from_ms, to_ms, max_late;
    long clients, frames, duplicates, steps_back;
    double cpu_begun, cpu_ended;
    uint32_t late[BUCKETS];
} window;

static struct failures entry_failures, stream_failures;

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

/* --- What is told --- */

static void add_sample(struct samples *samples, int64_t value)
{
    if (samples->count == samples->room) {
        samples->room = samples->room ? 2 * samples->room : 1024;
        samples->of = realloc(samples->of, samples->room * sizeof *samples->of);
        if (!samples->of) abort();
    }
    samples->of[samples->count++] = value;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* Print `"name_p50_ms": …, "name_p99_ms": …, ` of durations in nanoseconds, by nearest rank, and forget them. */
static void tell_percentiles(const char *name, struct samples *samples)
{
    qsort(samples->of, samples->count, sizeof *samples->of, compare);
    for (int percent = 50; percent <= 99; percent += 49) {
        if (samples->count)
            printf("\"%s_p%d_ms\": %.3f, ", name, percent, samples->of[samples->count * percent / 100] / 1e6);
        else
            printf("\"%s_p%d_ms\": null, ", name, percent);
    }
    samples->count = 0;
}

static void tell_failures(struct failures *failures)
{
    printf("\"failures\": {");
    for (int i = 0; i < failures->kinds; i++)
        printf("%s\"%s\": %ld", i ? ", " : "", failures->of[i].reason, failures->of[i].count);
    printf("}}\n");
    fflush(stdout);
    failures->kinds = 0;
}

static void count_failure(struct failures *failures, const char *reason)
{
    int i = 0;
    while (i < failures->kinds && strcmp(failures->of[i].reason, reason)) i++;
    if (i == REASONS) i--; /* an answer has so many kinds at most; the last one takes what is beyond */
    if (i == failures->kinds) {
        snprintf(failures->of[i].reason, sizeof failures->of[i].reason, "%s", reason);
        failures->of[i].count = 0;
        failures->kinds++;
    }
    failures->of[i].count++;
}

/* --- Clients come and go --- */

static void hang_up(struct link *link)
{
    if (link->state != GONE) close(link->fd);
    link->state = GONE;
}

static void fail(struct client *client, const char *reason)
{
    hang_up(&client->stream);
    hang_up(&client->page);
    count_failure(client->in_flight ? &entry_failures : &stream_failures, reason);
    if (client->in_flight) entry.in_flight--;
    client->in_flight = false;
}

/* Note that a client is in, if it is: it has the 101, a frame and all its answers. */
static void see_whether_in(struct client *client)
{
    if (!client->in_flight || !client->first || client->calls_left) return;
    client->in_flight = false;
    entry.in_flight--;
    entry.in++;
    add_sample(&entry.handshake, client->shaken - client->begun);
    add_sample(&entry.first, client->first - client->begun);
}

static void dial(struct client *client, struct link *link)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = link};
    link->client = client;
    link->kept = 0;
    link->state = DIALLING;
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) {
        link->state = GONE;
        fail(client, "no more open files");
    } else if (connect(link->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) {
        fail(client, "cannot connect");
    } else {
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, link->fd, &event);
    }
}

static void open_client(void)
{
    struct client *client = calloc(1, sizeof *client);
    clients = realloc(clients, (client_count + 1) * sizeof *clients);
    if (!client || !clients) abort();
    clients[client_count++] = client;
    entry.opened++;
    entry.in_flight++;
    client->in_flight = true;
    client->calls_left = entry.calls;
    client->begun = now_ns();
    client->stream.state = client->page.state = GONE;
    dial(client, &client->stream);
    if (client->calls_left && client->in_flight) dial(client, &client->page);
}

static void ask(struct link *link)
{
    char request[768];
    int port = ntohs(server.sin_port), length;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
    if (link == &link->client->page) {
        length = snprintf(request, sizeof request, "GET /clock/now HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", port);
        link->client->asked = now_ns();
    } else {
        length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nOrigin: http://127.0.0.1:%d\r\n"
                          "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                          "Sec-WebSocket-Version: 13\r\n\r\n",
                          entry.path, port, port, key);
    }
    if (link->state == DIALLING) epoll_ctl(epoll_fd, EPOLL_CTL_MOD, link->fd, &event);
    link->state = ASKING;
    if (send(link->fd, request, length, MSG_NOSIGNAL) != length) fail(link->client, "cannot connect");
}

/* --- What comes. Each returns the bytes it has used up, 0 if it must wait for more, or -1 after a failure. --- */

static long refuse(struct client *client, const char *reason)
{
    fail(client, reason);
    return -1;
}

/* Return the value of a header in `head`, which ends with an empty line and a NUL; NULL if it is not there. */
static const char *header(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, length) && line[2 + length] == ':')
            return line + 3 + length + strspn(line + 3 + length, " \t");
    return NULL;
}

/* Copy the head of an answer to `head`; return its length, 0 if it is not whole yet, or -1 if it is no answer. */
static long take_head(const char *bytes, size_t count, char head[LEFTOVER])
{
    size_t known = count < 9 ? count : 9;
    const char *end = memmem(bytes, count, "\r\n\r\n", 4);
    if (memcmp(bytes, "HTTP/1.1 ", known)) return -1;
    if (!end) return 0;
    if (end + 4 - bytes >= LEFTOVER) return -1;
    memcpy(head, bytes, end + 4 - bytes);
    head[end + 4 - bytes] = 0;
    return end + 4 - bytes;
}

static long take_handshake(struct client *client, const char *bytes, size_t count)
{
    char head[LEFTOVER], reason[64];
    long length = take_head(bytes, count, head);
    const char *accepted;
    if (length < 0) return refuse(client, "something else before the 101");
    if (!length) return 0;
    if (atoi(head + 9) != 101) {
        snprintf(reason, sizeof reason, "the handshake was answered with %d", atoi(head + 9));
        return refuse(client, reason);
    }
    accepted = header(head, "Sec-WebSocket-Accept");
    if (!accepted || strncmp(accepted, accept_key, strlen(accept_key)) || accepted[strlen(accept_key)] != '\r')
        return refuse(client, "a wrong Sec-WebSocket-Accept");
    client->shaken = now_ns();
    client->stream.state = STREAMING;
    return length;
}

static void take_tick(struct client *client, int64_t at, int64_t came)
{
    bool newer = at > client->last_at;
    if (!client->first) {
        client->first = came;
        see_whether_in(client);
    }
    if (window.open && client->counted) {
        if (at >= window.from_ms && at < window.to_ms && newer) client->got++;
        if (!window.ended) {
            int64_t late = came - at * MS, bucket = late / BUCKET, gap = came - client->last_came;
            if (gap > client->largest_gap) client->largest_gap = gap;
            client->last_came = came;
            window.frames++;
            window.late[bucket < 0 ? 0 : bucket < BUCKETS ? bucket : BUCKETS - 1]++;
            if (late > window.max_late) window.max_late = late;
            if (at == client->last_at) window.duplicates++;
            if (at < client->last_at) window.steps_back++;
        }
    }
    client->last_at = at;
}

static long take_frame(struct client *client, const unsigned char *bytes, size_t count, int64_t came)
{
    size_t start = 2, length;
    if (count < 2) return 0;
    if (bytes[1] & 0x80) return refuse(client, "a masked frame");
    length = bytes[1];
    if (length == 126) {
        if (count < 4) return 0;
        start = 4;
        length = bytes[2] << 8 | bytes[3];
    }
    if (length > LEFTOVER - 8) return refuse(client, "a frame that is too long");
    if (count < start + length) return 0;
    if (bytes[0] == 0x81) {
        const unsigned char *at = memmem(bytes + start, length, "\"at\":", 5), *end = bytes + start + length;
        int64_t value = 0;
        if (!at) return refuse(client, "a text that is not a tick");
        for (at += 5; at < end && *at == ' '; at++) {}
        for (; at < end && *at >= '0' && *at <= '9'; at++) value = 10 * value + *at - '0';
        take_tick(client, value, came);
    } else if (bytes[0] == 0x89 && length <= 125) {
        /* A client's frames are masked; a mask of zeros leaves the payload as it is. */
        unsigned char pong[6 + 125] = {0x8A, 0x80 | length};
        memcpy(pong + 6, bytes + 2, length);
        send(client->stream.fd, pong, 6 + length, MSG_NOSIGNAL);
    } else if (bytes[0] == 0x88 && length <= 125) {
        char reason[64] = "closed by the server, without a code";
        if (length >= 2)
            snprintf(reason, sizeof reason, "closed by the server: %d", bytes[start] << 8 | bytes[start + 1]);
        return refuse(client, reason);
    } else {
        return refuse(client, "a frame that is neither text, ping nor close");
    }
    return start + length;
}

static long take_answer(struct client *client, const char *bytes, size_t count)
{
    char head[LEFTOVER];
    long length = take_head(bytes, count, head);
    const char *size, *end;
    if (length < 0) return refuse(client, "no answer to /clock/now");
    if (!length) return 0;
    if ((size = header(head, "Content-Length"))) {
        length += atoi(size);
        if (count < (size_t)length) return 0;
    } else if (header(head, "Transfer-Encoding")) {
        if (!(end = memmem(bytes + length - 2, count - length + 2, "\r\n0\r\n\r\n", 7))) return 0;
        length = end + 7 - bytes;
    } else {
        return refuse(client, "an answer of /clock/now without a length");
    }
    if (atoi(head + 9) != 200) entry.other_answers++;
    add_sample(&entry.now, now_ns() - client->asked);
    if (--client->calls_left) {
        ask(&client->page);
    } else {
        hang_up(&client->page);
        see_whether_in(client);
    }
    return length;
}

/* Read once, and take in all that is whole. */
static void take(struct link *link)
{
    struct client *client = link->client;
    int64_t came;
    long used;
    size_t done = 0, count;
    ssize_t got;
    if (link->kept) memcpy(scratch, link->bytes, link->kept);
    got = recv(link->fd, scratch + link->kept, sizeof scratch - link->kept, 0);
    came = now_ns();
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        fail(client, link == &client->page ? "/clock/now: the connection was closed"
                     : got               ? "the connection was reset"
                                         : "the connection was closed");
        return;
    }
    count = link->kept + got;
    while (done < count && link->state != GONE) {
        const char *rest = scratch + done;
        if (link == &client->page) used = take_answer(client, rest, count - done);
        else if (link->state == ASKING) used = take_handshake(client, rest, count - done);
        else used = take_frame(client, (const unsigned char *)rest, count - done, came);
        if (used < 0) return;
        if (!used) break;
        done += used;
    }
    link->kept = count - done;
    if (link->state == GONE) return;
    if (link->kept > LEFTOVER) fail(client, "something that does not end");
    else memcpy(link->bytes, scratch + done, link->kept);
}

static void serve(struct link *link, uint32_t events)
{
    if (link->state == GONE) return; /* since the wait */
    if (link->state != DIALLING) {
        take(link);
    } else {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error || events & EPOLLERR) fail(link->client, "cannot connect");
        else ask(link);
    }
}

/* --- Commands --- */

static void go_on_connecting(void)
{
    int64_t now = now_ns();
    if (now - entry.scanned > 500 * MS) {
        bool over = now - entry.begun > CONNECT_LIMIT;
        entry.scanned = now;
        for (long i = 0; i < client_count; i++)
            if (clients[i]->in_flight && (over || now - clients[i]->begun > CLIENT_LIMIT))
                fail(clients[i], clients[i]->first    ? "no answer to /clock/now in time"
                                 : clients[i]->shaken ? "no frame in time"
                                                      : "no 101 in time");
        for (; over && entry.opened < entry.asked; entry.opened++)
            count_failure(&entry_failures, "its turn never came");
    }
    while (entry.opened < entry.asked && entry.in_flight < entry.parallel) open_client();
    if (entry.opened == entry.asked && !entry.in_flight) {
        double seconds = (now_ns() - entry.begun) / 1e9;
        printf("{\"asked\": %ld, \"in\": %ld, \"seconds\": %.4f, \"per_second\": %.1f, \"other_answers\": %ld, ",
               entry.asked, entry.in, seconds, entry.in / seconds, entry.other_answers);
        tell_percentiles("handshake", &entry.handshake);
        tell_percentiles("first_frame", &entry.first);
        tell_percentiles("now", &entry.now);
        tell_failures(&entry_failures);
        pending = 'n';
    }
}

static void begin(void)
{
    memset(&window, 0, sizeof window);
    window.begun = now_ns();
    window.from_ms = (window.begun / MS / TICK_MS + 1) * TICK_MS; /* so none of its frames has come yet */
    window.to_ms = INT64_MAX;
    for (long i = 0; i < client_count; i++) {
        struct client *client = clients[i];
        client->counted = client->stream.state == STREAMING;
        client->got = 0;
        client->largest_gap = 0;
        client->last_came = window.begun; /* either end of the window counts as a frame, or silence were no gap */
        window.clients += client->counted;
    }
    window.cpu_begun = cpu_seconds();
    window.open = true;
    printf("{\"clients\": %ld, \"from\": %lld}\n", window.clients, (long long)window.from_ms);
    fflush(stdout);
}

/* Return the lateness, in milliseconds, that so many percent of the frames have at most. */
static double late_ms(double percent)
{
    long rank = window.frames * percent / 100, seen = 0;
    for (long i = 0; i < BUCKETS; i++)
        if ((seen += window.late[i]) > rank) return (i + 0.5) * BUCKET / 1e6;
    return window.max_late / 1e6;
}

static void tell_window(void)
{
    struct samples got = {0};
    int64_t gap = 0;
    double seconds = (window.ended - window.begun) / 1e9;
    for (long i = 0; i < client_count; i++) {
        if (!clients[i]->counted) continue;
        int64_t last = window.ended - clients[i]->last_came;
        add_sample(&got, clients[i]->got);
        if (clients[i]->largest_gap > gap) gap = clients[i]->largest_gap;
        if (last > gap) gap = last;
    }
    qsort(got.of, got.count, sizeof *got.of, compare);
    printf("{\"clients\": %ld, \"from\": %lld, \"to\": %lld, \"seconds\": %.4f, \"frames\": %ld, ", window.clients,
           (long long)window.from_ms, (long long)window.to_ms, seconds, window.frames);
    if (got.count)
        printf("\"worst\": %lld, \"median\": %lld, ", (long long)got.of[0], (long long)got.of[got.count / 2]);
    else
        printf("\"worst\": null, \"median\": null, ");
    if (window.frames)
        printf("\"late_p50_ms\": %.3f, \"late_p95_ms\": %.3f, \"late_p99_ms\": %.3f, \"late_max_ms\": %.3f, ",
               late_ms(50), late_ms(95), late_ms(99), window.max_late / 1e6);
    else
        printf("\"late_p50_ms\": null, \"late_p95_ms\": null, \"late_p99_ms\": null, \"late_max_ms\": null, ");
    printf("\"largest_gap_ms\": %.3f, \"duplicates\": %ld, \"steps_back\": %ld, \"cpu_share\": %.4f, ", gap / 1e6,
           window.duplicates, window.steps_back, (window.cpu_ended - window.cpu_begun) / seconds);
    tell_failures(&stream_failures);
    free(got.of);
    window.open = false;
    pending = 'n';
}

static void close_all(void)
{
    for (long i = 0; i < client_count; i++) {
        hang_up(&clients[i]->stream);
        hang_up(&clients[i]->page);
        free(clients[i]);
    }
    printf("{\"closed\": %ld}\n", client_count);
    fflush(stdout);
    client_count = 0;
    window.open = false;
    stream_failures.kinds = 0;
}

static void obey(const char *line)
{
    entry.path[0] = 0;
    if (sscanf(line, "connect %ld %d %d %255s", &entry.asked, &entry.parallel, &entry.calls, entry.path) == 4) {
        entry.opened = entry.in_flight = entry.in = entry.other_answers = 0;
        entry.begun = entry.scanned = now_ns();
        pending = 'c';
    } else if (!strcmp(line, "begin\n")) {
        begin();
    } else if (!strcmp(line, "end\n") && window.open) {
        window.ended = now_ns();
        window.to_ms = (window.ended / MS / TICK_MS + 1) * TICK_MS; /* likewise, none from there on has come */
        window.cpu_ended = cpu_seconds();
        pending = 'e';
    } else if (!strcmp(line, "close\n")) {
        close_all();
    } else {
        printf("{\"error\": \"no such command, or not now\"}\n");
        fflush(stdout);
    }
}

int main(int count, char **arguments)
{
    struct rlimit files;
    struct epoll_event events[512], commands = {.events = EPOLLIN, .data.ptr = NULL};
    if (count != 4) return 2;
    key = arguments[2];
    accept_key = arguments[3];
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
        int ready = epoll_wait(epoll_fd, events, 512, pending == 'n' ? -1 : 20);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr) serve(events[i].data.ptr, events[i].events);
            else commanded = true;
        }
        if (pending == 'c') go_on_connecting();
        else if (pending == 'e' && now_ns() - window.ended >= GRACE) tell_window();
        /* After the others, for `close` frees what their events point to. The next one comes after the answer. */
        if (commanded && pending == 'n') {
            char line[512];
            if (!fgets(line, sizeof line, stdin)) return 0;
            obey(line);
        }
    }
}
