/* The load generator: WebSocket clients of one server, in one epoll loop. bench/load/generator.py compiles and drives it.

   generator PORT    the server's port on the loopback interface

It reads commands from standard input, one per line, and answers each with one line of JSON on standard output. It takes
times from the wall clock in nanoseconds, because a frame's `at` is on that clock.

   connect CLASS COUNT PARALLEL CALLS LENIENT PATH
                     open COUNT streams, at most PARALLEL at a time; each client also sends CALLS requests for /clock/now,
                     one after the other, on a second connection, which it keeps for probes; LENIENT is 1 if other texts
                     than ticks are ignored
   probe INTERVAL    let each client with a second connection send a probe every INTERVAL ms, spread evenly; 0 stops them
   begin DURATION    start to measure the clients that are streaming; the ticks of so many ms count, with 0 those until `end`
   end               stop measuring and print what they received
   file PATH         add a file to the pages that `load` loads; the first one is the HTML
   load COUNT CONNECTIONS
                     load COUNT pages at once, each on at most CONNECTIONS connections
   close             close all connections

A client is strict: it accepts a complete 101 with the correct key, and after it only whole unmasked text, ping and close
frames, where each text is a tick. Anything else is a failure, which is counted by its reason and ends that client. */

#include "generator.h"

#define POLL_MS 20     /* between two checks of a command that is in progress */
#define MAX_EVENTS 512 /* of one pass of the loop */
#define PAUSE_NS 200000 /* between two passes, unless more events are ready: to read many frames at once costs a third less */

struct client **clients;
long client_count;
struct class classes[MAX_CLASSES];
int class_count;
struct window window;
struct batch batch;
struct failures batch_failures, stream_failures;
struct sockaddr_in server;
int epoll_fd;

/* Continues the command that is in progress, and returns whether it is finished; NULL if there is none. */
static bool (*in_progress)(void);

static struct class *class_named(const char *name)
{
    int i = 0;
    while (i < class_count && strcmp(classes[i].name, name)) i++;
    if (i == MAX_CLASSES) return NULL;
    if (i == class_count) {
        memset(&classes[i], 0, sizeof classes[i]);
        snprintf(classes[class_count++].name, sizeof classes[i].name, "%.23s", name);
    }
    return &classes[i];
}

static void close_all(void)
{
    for (long i = 0; i < client_count; i++) {
        close_connection(&clients[i]->stream);
        close_connection(&clients[i]->probe);
        free(clients[i]);
    }
    printf("{\"closed\": %ld}\n", client_count);
    fflush(stdout);
    client_count = class_count = 0;
    window.open = false;
    stream_failures.kinds = 0;
}

static bool execute(const char *line)
{
    char text[256];
    long number;
    int connections;
    batch.path[0] = 0;
    if (sscanf(line, "connect %23s %ld %d %d %d %255s", text, &batch.requested, &batch.parallel, &batch.calls,
               &batch.lenient, batch.path) == 6) {
        if (!(batch.class = class_named(text))) return false;
        start_connecting();
        in_progress = continue_connecting;
    } else if (sscanf(line, "probe %ld", &number) == 1) {
        set_probe_interval(number);
    } else if (sscanf(line, "begin %ld", &number) == 1) {
        begin_window(number);
    } else if (!strcmp(line, "end\n") && window.open) {
        end_window();
        in_progress = continue_ending;
    } else if (sscanf(line, "file %255s", text) == 1) {
        return add_file(text);
    } else if (sscanf(line, "load %ld %d", &number, &connections) == 2) {
        if (!start_loading(number, connections)) return false;
        in_progress = continue_loading;
    } else if (!strcmp(line, "close\n")) {
        close_all();
    } else {
        return false;
    }
    return true;
}

/* Wait for events and handle them. Return whether a command can be read.

   A frame may have waited since the last time at which no event was left. */
static bool pass(void)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_NS};
    static struct epoll_event events[MAX_EVENTS];
    static int64_t busy_since;
    static bool is_more; /* perhaps: as many events were ready as fit */
    bool commanded = false;
    int64_t started, next_probe, wait_ms;
    long frames = window.frames;
    int ready;
    if (!is_more) nanosleep(&pause, NULL);
    started = now_ns();
    next_probe = send_due_probes(started);
    wait_ms = next_probe == INT64_MAX ? -1 : (next_probe - started) / MS + 1;
    if (in_progress && (wait_ms < 0 || wait_ms > POLL_MS)) wait_ms = POLL_MS;
    ready = epoll_wait(epoll_fd, events, MAX_EVENTS, wait_ms);
    if (!is_more) busy_since = now_ns();
    is_more = ready == MAX_EVENTS;
    for (int i = 0; i < ready; i++) {
        if (events[i].data.ptr) handle_event(events[i].data.ptr, events[i].events);
        else commanded = true;
    }
    if (window.frames > frames) count_time(window.lags, now_ns() - busy_since, window.frames - frames);
    return commanded;
}

int main(int count, char **arguments)
{
    struct rlimit limit;
    struct epoll_event commands = {.events = EPOLLIN, .data.ptr = NULL};
    if (count != 2) return 2;
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(arguments[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    prctl(PR_SET_TIMERSLACK, 1000); /* ns */
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &commands);
    for (;;) {
        bool commanded = pass();
        if (in_progress && in_progress()) in_progress = NULL;
        /* Commands come after the other events, because `close` frees what these point to, and one at a time. */
        if (commanded && !in_progress) {
            char line[512];
            if (!fgets(line, sizeof line, stdin)) return 0;
            if (!execute(line)) {
                printf("{\"error\": \"unknown command, or not possible now\"}\n");
                fflush(stdout);
            }
        }
    }
}
