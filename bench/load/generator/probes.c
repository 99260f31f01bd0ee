/* The probes: requests for /clock/now, one at a time, on a second connection of each client.

   A client sends some when it connects, and later one per interval. Those of all clients are spread evenly over the
   interval. The connection is kept. When the server has closed it in between, the next probe opens it again, as a
   browser does. */

#include "generator.h"

#define MAX_BEHIND_NS (100 * MS) /* probes that are later are omitted, so that a stall is not followed by a burst */

static struct {
    int64_t interval_ns, next_ns; /* between two probes of all clients; when the next one is due */
    long next_client;
} schedule;

/* Send a probe, unless the last one is not answered yet. */
void ask(struct client *client)
{
    if (client->probe.state == WAITING || client->probe.state == CONNECTING) {
        window.probes_overdue++;
        return;
    }
    client->asked_ns = now_ns();
    window.probes_sent++;
    if (client->probe.state == IDLE) ask_connected(client);
    else if (!open_connection(&client->probe, PROBE, client)) fail_probe(client, "no more open files or ports");
}

void ask_connected(struct client *client)
{
    char request[128];
    int length = snprintf(request, sizeof request, "GET /clock/now HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
                          ntohs(server.sin_port));
    if (!send_request(&client->probe, request, length)) fail_probe(client, "cannot send");
}

/* While a client connects, it fails as a whole. Later its stream goes on. */
void fail_probe(struct client *client, const char *reason)
{
    char text[96];
    snprintf(text, sizeof text, "/clock/now: %s", reason);
    if (client->connecting) {
        fail(client, text);
    } else {
        close_connection(&client->probe);
        count_failure(&stream_failures, text);
    }
}

long read_probe(struct client *client, const char *bytes, size_t count)
{
    int status;
    long length = read_answer(bytes, count, &status);
    if (length < 0) {
        fail_probe(client, "not an HTTP answer");
        return -1;
    }
    if (!length) return 0;
    client->probe.state = IDLE;
    if (window.open && !window.ended_ns) {
        window.probes_answered++;
        count_time(window.probe_times, now_ns() - client->asked_ns, 1);
    }
    if (!client->connecting) {
        if (status != 200) count_failure(&stream_failures, "/clock/now: an answer that is not 200");
        return length;
    }
    batch.non_200_answers += status != 200;
    if (--client->calls_left > 0) ask(client);
    else count_if_connected(client);
    return length;
}

/* Let each client that has probes send one per interval; 0 stops them. */
void set_probe_interval(int64_t interval_ms)
{
    long count = 0;
    for (long i = 0; i < client_count; i++) count += clients[i]->has_probes;
    schedule.interval_ns = count ? interval_ms * MS / count : 0;
    schedule.next_ns = now_ns();
    printf("{\"clients\": %ld}\n", count);
    fflush(stdout);
}

static struct client *next_client(void)
{
    for (long i = 0; i < client_count; i++) {
        struct client *client = clients[schedule.next_client++ % client_count];
        if (client->has_probes && client->stream.state == STREAMING && !client->connecting) return client;
    }
    return NULL;
}

/* Send the probes that are due. Return when the next one is; INT64_MAX if there is none. */
int64_t send_due_probes(int64_t now)
{
    if (!schedule.interval_ns || !client_count) return INT64_MAX;
    if (now - schedule.next_ns > MAX_BEHIND_NS) schedule.next_ns = now;
    for (; schedule.next_ns <= now; schedule.next_ns += schedule.interval_ns) {
        struct client *client = next_client();
        if (client) ask(client);
    }
    return schedule.next_ns;
}
