/* What the parts of the load generator share. main.c describes the program. */

#ifndef GENERATOR_H
#define GENERATOR_H

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000LL /* nanoseconds */
#define TICK_MS 10
#define MAX_MESSAGE (1 << 20) /* bytes; no frame and no answer is longer */
#define MAX_HEAD 8192         /* bytes of an answer's status line and headers */
#define MAX_REASONS 24
#define MAX_CLASSES 8
#define MAX_FILES 64
#define MAX_PAGE_CONNECTIONS 6

/* A histogram of times has buckets of 10 us up to 1.28 ms, and above that of 1/64 to 1/128 of the value, up to 45 s. */
#define BUCKET_NS 10000LL
#define BUCKETS 1100
typedef uint32_t histogram[BUCKETS];

struct failures {
    int kinds;
    struct { char reason[96]; long count; } of[MAX_REASONS];
};

enum kind { STREAM, PROBE, FILES };
enum state { CLOSED, CONNECTING, WAITING, STREAMING, IDLE }; /* WAITING: for an answer; IDLE: between two requests */

/* One TCP connection. Its owner is a client, or for FILES a page. */
struct connection {
    enum kind kind;
    enum state state;
    int fd;
    uint32_t kept; /* bytes of `rest`: the start of a message whose rest has not arrived */
    char *rest;
    void *owner;
};

/* Clients that are reported together: those of one or more `connect` commands, and what they received in the window. */
struct class {
    char name[24];
    long clients, frames, duplicates, steps_back;
    histogram late;
};

/* A viewer: its stream, and the connection for its probes. */
struct client {
    /* What the window counts comes first, so that it shares the processor's cache lines. */
    struct class *class;
    bool counted, connecting, lenient;
    uint32_t ticks;
    double total_ticks;
    int64_t total_ms;
    int64_t first_tick_ms, last_tick_ms; /* in the window */
    int64_t last_at_ms, last_received_ns, largest_gap_ns;
    /* Connecting. A client is connected when it has the 101, a frame, and all its answers from /clock/now. */
    int calls_left;
    bool has_probes;
    int64_t started_ns, handshake_ns, first_frame_ns, asked_ns;
    struct connection stream, probe;
};

/* What the window counts besides the classes. Totals are those of all windows since the last `connect`. */
struct window {
    bool open;
    int64_t started_ns, ended_ns, from_ms, to_ms, total_ms;
    long frames, pings, probes_sent, probes_answered, probes_overdue;
    double cpu_started_s, cpu_ended_s, waited_started_s, waited_ended_s;
    histogram probe_times, lags;
};

/* The clients of one `connect` command. */
struct batch {
    long requested, opened, connecting, connected, non_200_answers;
    int parallel, calls, lenient;
    int64_t started_ns, checked_ns;
    char path[256];
    struct class *class;
    int64_t *handshakes_ns; /* of the connected clients: how long each took */
};

extern struct client **clients;
extern long client_count;
extern struct class classes[MAX_CLASSES];
extern int class_count;
extern struct window window;
extern struct batch batch;
extern struct failures batch_failures, stream_failures;
extern struct sockaddr_in server;
extern int epoll_fd;

/* report.c */
int64_t now_ns(void);
void count_time(histogram counts, int64_t ns, uint32_t by);
void print_histogram(const char *name, const histogram counts);
void count_failure(struct failures *failures, const char *reason);
void print_failures(struct failures *failures);

/* connection.c */
bool open_connection(struct connection *connection, enum kind kind, void *owner);
void close_connection(struct connection *connection);
bool send_request(struct connection *connection, const char *request, int length);
void handle_event(struct connection *connection, uint32_t events);
const char *header(const char *head, const char *name);
long read_head(const char *bytes, size_t count, char head[MAX_HEAD]);
long read_answer(const char *bytes, size_t count, int *status);

/* stream.c. Functions that read return the bytes they used, 0 if they need more, or -1 after a failure. */
long fail(struct client *client, const char *reason);
void count_if_connected(struct client *client);
void start_connecting(void);
bool continue_connecting(void);
void send_handshake(struct client *client);
long read_stream(struct client *client, const char *bytes, size_t count, int64_t received_ns);

/* probes.c */
void ask(struct client *client);
void ask_connected(struct client *client);
long read_probe(struct client *client, const char *bytes, size_t count);
void fail_probe(struct client *client, const char *reason);
void set_probe_interval(int64_t interval_ms);
int64_t send_due_probes(int64_t now);

/* window.c */
void begin_window(int64_t duration_ms);
void end_window(void);
bool continue_ending(void);

/* pages.c */
bool add_file(const char *path);
bool start_loading(long count, int connections);
bool continue_loading(void);
void request_file(struct connection *connection);
long read_file(struct connection *connection, const char *bytes, size_t count);
void fail_page(void *page, const char *reason);

#endif
