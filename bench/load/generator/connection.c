/* TCP connections and HTTP answers. */

#include "generator.h"

static char scratch[MAX_MESSAGE + 65536];

/* Return false if it could not be opened. */
bool open_connection(struct connection *connection, enum kind kind, void *owner)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = connection};
    static const int off = 0;
    connection->kind = kind;
    connection->owner = owner;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) return false;
    connection->state = CONNECTING;
    /* An acknowledgement for every second frame: one for each would be a third of the load generator's work. */
    setsockopt(connection->fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
    if (connect(connection->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) {
        close_connection(connection);
        return false;
    }
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event);
    return true;
}

void close_connection(struct connection *connection)
{
    if (connection->state != CLOSED) close(connection->fd);
    connection->state = CLOSED;
    free(connection->rest);
    connection->rest = NULL;
    connection->kept = 0;
}

bool send_request(struct connection *connection, const char *request, int length)
{
    connection->state = WAITING;
    return send(connection->fd, request, length, MSG_NOSIGNAL) == length;
}

/* Return the value of a header in `head`, which ends with an empty line and a NUL; NULL if it is missing. */
const char *header(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, length) && line[2 + length] == ':')
            return line + 3 + length + strspn(line + 3 + length, " \t");
    return NULL;
}

/* Copy the status line and headers of an answer to `head`. */
long read_head(const char *bytes, size_t count, char head[MAX_HEAD])
{
    const char *end = memmem(bytes, count, "\r\n\r\n", 4);
    if (memcmp(bytes, "HTTP/1.1 ", count < 9 ? count : 9)) return -1;
    if (!end) return count < MAX_HEAD ? 0 : -1;
    if (end + 4 - bytes >= MAX_HEAD) return -1;
    memcpy(head, bytes, end + 4 - bytes);
    head[end + 4 - bytes] = 0;
    return end + 4 - bytes;
}

/* Read an answer with its body. */
long read_answer(const char *bytes, size_t count, int *status)
{
    char head[MAX_HEAD];
    long length = read_head(bytes, count, head);
    const char *content_length, *end;
    if (length <= 0) return length;
    *status = atoi(head + 9);
    if ((content_length = header(head, "Content-Length"))) {
        length += atoi(content_length);
        return count < (size_t)length ? 0 : length;
    }
    if (!header(head, "Transfer-Encoding")) return -1;
    end = memmem(bytes + length - 2, count - length + 2, "\r\n0\r\n\r\n", 7);
    return end ? end + 7 - bytes : 0;
}

static void fail_connection(struct connection *connection, const char *reason)
{
    if (connection->kind == STREAM) fail(connection->owner, reason);
    else if (connection->kind == PROBE) fail_probe(connection->owner, reason);
    else fail_page(connection->owner, reason);
}

static long read_message(struct connection *connection, const char *bytes, size_t count, int64_t received_ns)
{
    if (connection->kind == STREAM) return read_stream(connection->owner, bytes, count, received_ns);
    if (connection->kind == PROBE) return read_probe(connection->owner, bytes, count);
    return read_file(connection, bytes, count);
}

/* Receive once, and read every complete message. Return whether there may be more to receive. */
static bool receive(struct connection *connection)
{
    int64_t received_ns;
    size_t done = 0, count;
    ssize_t received;
    bool is_full;
    if (connection->kept) memcpy(scratch, connection->rest, connection->kept);
    received = recv(connection->fd, scratch + connection->kept, sizeof scratch - connection->kept, 0);
    received_ns = now_ns();
    if (received <= 0) {
        if (received < 0 && errno == EINTR) return true;
        if (received < 0 && errno == EAGAIN) return false;
        if (connection->state == IDLE) close_connection(connection); /* the server's idle timeout, no failure */
        else fail_connection(connection, received ? "the connection was reset" : "the connection was closed");
        return false;
    }
    is_full = (size_t)received == sizeof scratch - connection->kept;
    count = connection->kept + received;
    while (done < count && connection->state != CLOSED) {
        long used = read_message(connection, scratch + done, count - done, received_ns);
        if (used < 0) return false;
        if (!used) break;
        done += used;
    }
    if (connection->state == CLOSED) return false;
    if (count - done > MAX_MESSAGE) {
        fail_connection(connection, "a message that is too long");
    } else if (done < count) {
        connection->rest = realloc(connection->rest, count - done);
        if (!connection->rest) abort();
        memcpy(connection->rest, scratch + done, count - done);
    }
    connection->kept = connection->state == CLOSED ? 0 : count - done;
    return is_full;
}

static void start_requests(struct connection *connection)
{
    int error = 0;
    socklen_t size = sizeof error;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = connection};
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        fail_connection(connection, "cannot connect");
        return;
    }
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
    if (connection->kind == STREAM) send_handshake(connection->owner);
    else if (connection->kind == PROBE) ask_connected(connection->owner);
    else request_file(connection);
}

/* Each arrival is an event, once. So everything must be received: also the end, which may have arrived with data. */
void handle_event(struct connection *connection, uint32_t events)
{
    bool is_ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (connection->state == CLOSED) return; /* by an earlier event of the same wait */
    if (connection->state == CONNECTING) {
        if (events & EPOLLERR) fail_connection(connection, "cannot connect");
        else start_requests(connection);
        return;
    }
    while (receive(connection) || (is_ended && connection->state != CLOSED)) {}
}
