/* Times, histograms and failures, and how they are printed as JSON. */

#include "generator.h"

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000 * MS + t.tv_nsec;
}

/* bench/load/results.py inverts this. */
void count_time(histogram counts, int64_t ns, uint32_t by)
{
    int64_t value = ns < 0 ? 0 : ns / BUCKET_NS;
    int exponent = value < 128 ? 0 : 64 - __builtin_clzll(value) - 7;
    int64_t bucket = ((int64_t)exponent << 6) + (value >> exponent);
    counts[bucket < BUCKETS ? bucket : BUCKETS - 1] += by;
}

/* Print a member of the answer: [bucket, count] for each bucket that has a count. */
void print_histogram(const char *name, const histogram counts)
{
    const char *separator = "";
    printf("\"%s\": [", name);
    for (int i = 0; i < BUCKETS; i++) {
        if (!counts[i]) continue;
        printf("%s[%d, %u]", separator, i, counts[i]);
        separator = ", ";
    }
    printf("]");
}

void count_failure(struct failures *failures, const char *reason)
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
void print_failures(struct failures *failures)
{
    printf("\"failures\": {");
    for (int i = 0; i < failures->kinds; i++)
        printf("%s\"%s\": %ld", i ? ", " : "", failures->of[i].reason, failures->of[i].count);
    printf("}}\n");
    fflush(stdout);
    failures->kinds = 0;
}
