/* The window: the time in which clients are measured. */

#include "generator.h"
#include <math.h>

#define GRACE_NS (300 * MS) /* ticks published before the end of a window may arrive this late */

static double cpu_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Return how long this process was ready but waited for a processor: the second field of schedstat, see proc(5). */
static double waited_seconds(void)
{
    unsigned long long waited_ns = 0;
    FILE *file = fopen("/proc/self/schedstat", "r");
    if (!file) return 0;
    if (fscanf(file, "%*u %llu", &waited_ns) != 1) waited_ns = 0;
    fclose(file);
    return waited_ns / 1e9;
}

/* Return the next tick's time, of which no frame has arrived yet. */
static int64_t next_tick_ms(int64_t moment_ns)
{
    return (moment_ns / MS / TICK_MS + 1) * TICK_MS;
}

/* Start to measure the clients that are streaming. With a duration other than 0, exactly its ticks are counted. */
void begin_window(int64_t duration_ms)
{
    int64_t total_ms = window.total_ms;
    long count = 0;
    memset(&window, 0, sizeof window);
    window.total_ms = total_ms;
    window.started_ns = now_ns();
    window.from_ms = next_tick_ms(window.started_ns);
    window.to_ms = duration_ms ? window.from_ms + duration_ms : INT64_MAX;
    for (int i = 0; i < class_count; i++) {
        struct class *class = &classes[i];
        class->clients = class->frames = class->duplicates = class->steps_back = 0;
        memset(class->late, 0, sizeof class->late);
    }
    for (long i = 0; i < client_count; i++) {
        struct client *client = clients[i];
        client->counted = client->stream.state == STREAMING && !client->connecting;
        client->ticks = 0;
        client->largest_gap_ns = 0;
        client->last_received_ns = window.started_ns; /* so that silence from the start or to the end is a gap */
        client->class->clients += client->counted;
        count += client->counted;
    }
    window.cpu_started_s = cpu_seconds();
    window.waited_started_s = waited_seconds();
    window.open = true;
    printf("{\"clients\": %ld}\n", count);
    fflush(stdout);
}

void end_window(void)
{
    window.ended_ns = now_ns();
    if (window.to_ms == INT64_MAX) window.to_ms = next_tick_ms(window.ended_ns);
    window.cpu_ended_s = cpu_seconds();
    window.waited_ended_s = waited_seconds();
}

/* Return how many ticks a client would receive in the whole window, by the intervals between those that it received.
   Their number alone depends on where the window begins: a viewer at 10 frames a second whose last one is a tick late
   has 9 in a second. Silence at either end counts if it is longer than an interval and a half. */
static double ticks_of_full_window(const struct client *client)
{
    double interval_ms, measured_ms;
    if (client->ticks < 2) return client->ticks;
    measured_ms = client->last_tick_ms - client->first_tick_ms;
    interval_ms = measured_ms / (client->ticks - 1);
    double silences_ms[] = {client->first_tick_ms - window.from_ms, window.to_ms - client->last_tick_ms};
    for (int i = 0; i < 2; i++)
        if (silences_ms[i] > 1.5 * interval_ms) measured_ms += silences_ms[i] - interval_ms;
    return (client->ticks - 1) * (window.to_ms - window.from_ms) / measured_ms;
}

static void print_class(const struct class *class)
{
    int64_t gap_ns = 0;
    uint32_t worst = UINT32_MAX;
    double worst_rate = INFINITY;
    for (long i = 0; i < client_count; i++) {
        const struct client *client = clients[i];
        int64_t last_gap_ns = window.ended_ns - client->last_received_ns;
        if (!client->counted || client->class != class) continue;
        if (client->ticks < worst) worst = client->ticks;
        if (client->total_ticks * 1000 / client->total_ms < worst_rate)
            worst_rate = client->total_ticks * 1000 / client->total_ms;
        if (client->largest_gap_ns > gap_ns) gap_ns = client->largest_gap_ns;
        if (last_gap_ns > gap_ns) gap_ns = last_gap_ns;
    }
    if (!class->clients) worst = worst_rate = 0;
    printf("\"%s\": {\"clients\": %ld, \"frames\": %ld, \"worst_ticks\": %u, \"total_worst_rate\": %.3f, ", class->name,
           class->clients, class->frames, worst, worst_rate);
    printf("\"largest_gap_ms\": %.3f, \"duplicates\": %ld, \"steps_back\": %ld, ", gap_ns / 1e6, class->duplicates,
           class->steps_back);
    print_histogram("lateness", class->late);
    printf("}");
}

/* Return whether the command is finished. */
bool continue_ending(void)
{
    double seconds = (window.ended_ns - window.started_ns) / 1e9;
    if (now_ns() < window.to_ms * MS + GRACE_NS) return false;
    window.total_ms += window.to_ms - window.from_ms;
    for (long i = 0; i < client_count; i++)
        if (clients[i]->counted) {
            clients[i]->total_ticks += ticks_of_full_window(clients[i]);
            clients[i]->total_ms += window.to_ms - window.from_ms;
        }
    printf("{\"from_ms\": %lld, \"to_ms\": %lld, \"total_ms\": %lld, \"seconds\": %.4f, \"pings\": %ld, ",
           (long long)window.from_ms, (long long)window.to_ms, (long long)window.total_ms, seconds, window.pings);
    printf("\"cpu_share\": %.4f, \"waited_share\": %.4f, ", (window.cpu_ended_s - window.cpu_started_s) / seconds,
           (window.waited_ended_s - window.waited_started_s) / seconds);
    print_histogram("lags", window.lags);
    printf(", \"probes\": {\"sent\": %ld, \"answered\": %ld, \"overdue\": %ld, ", window.probes_sent,
           window.probes_answered, window.probes_overdue);
    print_histogram("times", window.probe_times);
    printf("}, \"classes\": {");
    for (int i = 0; i < class_count; i++) {
        if (i) printf(", ");
        print_class(&classes[i]);
    }
    printf("}, ");
    print_failures(&stream_failures);
    window.open = false;
    return true;
}
