/* Page loads: as a browser does, a page gets its HTML, then its other files on several connections, which it keeps. */

#include "generator.h"

#define LOADING_TIMEOUT_NS (60 * 1000 * MS)

struct page {
    bool failed;
    int requested, received; /* files */
    int64_t loaded_ns;
    struct connection connections[MAX_PAGE_CONNECTIONS];
};

static char files[MAX_FILES][256]; /* the first one is the HTML */
static int file_count, connection_count;
static struct page *pages;
static long page_count, left;
static int64_t started_ns;
static long long received_bytes;
static struct failures page_failures;

bool add_file(const char *path)
{
    if (file_count == MAX_FILES) return false;
    snprintf(files[file_count++], sizeof files[0], "%s", path);
    printf("{\"files\": %d}\n", file_count);
    fflush(stdout);
    return true;
}

static void finish(struct page *page)
{
    for (int i = 0; i < connection_count; i++) close_connection(&page->connections[i]);
    left--;
}

void fail_page(void *owner, const char *reason)
{
    struct page *page = owner;
    page->failed = true;
    count_failure(&page_failures, reason);
    finish(page);
}

/* Request the next file, if there is one. */
void request_file(struct connection *connection)
{
    struct page *page = connection->owner;
    char request[512];
    int length;
    if (page->requested == file_count) {
        connection->state = IDLE;
        return;
    }
    length = snprintf(request, sizeof request,
                      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n",
                      files[page->requested++], ntohs(server.sin_port));
    if (!send_request(connection, request, length)) fail_page(page, "cannot send");
}

/* Each connection that is idle or closed requests a file, or opens for one. */
static void use_all_connections(struct page *page)
{
    for (int i = 0; i < connection_count && page->requested < file_count && !page->failed; i++) {
        struct connection *connection = &page->connections[i];
        if (connection->state == IDLE) request_file(connection);
        else if (connection->state == CLOSED && !open_connection(connection, FILES, page))
            fail_page(page, "no more open files or ports");
    }
}

long read_file(struct connection *connection, const char *bytes, size_t count)
{
    struct page *page = connection->owner;
    char reason[64];
    int status;
    long length = read_answer(bytes, count, &status);
    if (!length) return 0;
    if (length < 0 || status != 200) {
        snprintf(reason, sizeof reason, length < 0 ? "not an HTTP answer" : "an answer was %d", status);
        fail_page(page, reason);
        return -1;
    }
    received_bytes += length;
    connection->state = IDLE;
    if (++page->received == file_count) {
        page->loaded_ns = now_ns();
        finish(page);
    } else {
        use_all_connections(page);
    }
    return length;
}

/* Start to load `count` pages at once. Return false if there are no files, or too many connections. */
bool start_loading(long count, int connections)
{
    if (!file_count || connections < 1 || connections > MAX_PAGE_CONNECTIONS) return false;
    free(pages);
    pages = calloc(count, sizeof *pages);
    if (!pages) abort();
    page_count = left = count;
    connection_count = connections;
    received_bytes = 0;
    started_ns = now_ns();
    for (long i = 0; i < count; i++)
        if (!open_connection(&pages[i].connections[0], FILES, &pages[i])) fail_page(&pages[i], "no more open files");
    return true;
}

/* Return whether the command is finished. */
bool continue_loading(void)
{
    int64_t last_ns = started_ns;
    long loaded = 0;
    bool is_over = now_ns() - started_ns > LOADING_TIMEOUT_NS;
    for (long i = 0; is_over && i < page_count; i++)
        if (!pages[i].failed && !pages[i].loaded_ns) fail_page(&pages[i], "not loaded in time");
    if (left) return false;
    for (long i = 0; i < page_count; i++) {
        loaded += pages[i].loaded_ns > 0;
        if (pages[i].loaded_ns > last_ns) last_ns = pages[i].loaded_ns;
    }
    printf("{\"loaded\": %ld, \"seconds\": %.4f, \"bytes\": %lld, ", loaded, (last_ns - started_ns) / 1e9,
           received_bytes);
    print_failures(&page_failures);
    return true;
}
