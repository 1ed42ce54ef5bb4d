/* A load generator that is never the bottleneck: one thread, epoll, HTTP/1.1.
 *
 *     load requests --port N --path P --body B --connections C --seconds S --tokens T
 *     load streams  --port N --path P --body B --connections C --seconds S --tokens T [--spread-ms M]
 *
 * "requests" has C connections, each of which asks again as soon as it has its answer. "streams"
 * opens C connections, all at once or over M milliseconds, and reads one answer from each; what is
 * not over after S seconds is an error, as is an answer that is not a 200 with T tokens. A token is
 * what upstream.c writes. Prints one line of JSON, all times in microseconds: "first" is from the
 * request (from connecting, where the connection is new) to the first token, "gap" between two
 * tokens of an answer, "lag" between a token's being written and its arrival, "whole" the answer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DIGITS 13
#define BUFFER 65536
#define LONGEST_HEAD 16384
#define PAUSE_US 20000

enum state { CLOSED, CONNECTING, HEAD, LENGTH, SIZE, DATA, DATA_END, TRAILER, OVER };

struct conn {
    int fd, digits, status, blank;
    enum state state;
    size_t sent, left, head_len;
    long tokens;
    long long asked, first, last, stamp, value, due;
    char head[LONGEST_HEAD];
};

struct samples {
    const char *name;
    unsigned *at;
    size_t len, cap;
};

static struct samples first = {"first", 0, 0, 0}, gap = {"gap", 0, 0, 0}, lag = {"lag", 0, 0, 0},
                      whole = {"whole", 0, 0, 0};
static int port, connections = 1, requests_mode, poller;
static long tokens = 1, errors, answers;
static double seconds = 5;
static long long spread;
static char *asking;
static size_t asking_len;
static char why[128];

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void note(struct samples *all, long long us) {
    if (all->len == all->cap) {
        all->cap = all->cap ? all->cap * 2 : 4096;
        all->at = realloc(all->at, all->cap * sizeof *all->at);
        if (!all->at) abort();
    }
    all->at[all->len++] = us < 0 ? 0 : us > 4000000000LL ? 4000000000U : (unsigned)us;
}

static int ascending(const void *a, const void *b) {
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return x < y ? -1 : x > y;
}

static void tell(struct samples *all) {
    qsort(all->at, all->len, sizeof *all->at, ascending);
    size_t n = all->len;
    printf(",\"%s\":{\"n\":%zu", all->name, n);
    if (n)
        printf(",\"p50\":%u,\"p90\":%u,\"p99\":%u,\"max\":%u", all->at[n / 2], all->at[n * 9 / 10],
               all->at[n * 99 / 100], all->at[n - 1]);
    printf("}");
}

static void fail(struct conn *c, const char *reason) {
    if (!errors++) snprintf(why, sizeof why, "%s, status %d, tokens %ld", reason, c->status, c->tokens);
    close(c->fd);
    c->state = CLOSED;
    c->due = now_us() + PAUSE_US;
}

static void await(struct conn *c, unsigned events, int how) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(poller, how, c->fd, &e);
}

static void send_request(struct conn *c) {
    while (c->sent < asking_len) {
        ssize_t n = send(c->fd, asking + c->sent, asking_len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            await(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return;
        }
        if (n < 0) {
            fail(c, "could not send");
            return;
        }
        c->sent += n;
    }
}

static void ask(struct conn *c, long long now) {
    c->asked = now;
    c->first = c->last = c->stamp = 0;
    c->tokens = c->status = 0;
    c->digits = -1;
    c->sent = c->head_len = 0;
    c->state = HEAD;
    send_request(c);
}

static void reach(struct conn *c, long long now) {
    struct sockaddr_in there = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    await(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
    c->asked = now;
    c->state = CONNECTING;
    if (connect(c->fd, (struct sockaddr *)&there, sizeof there) && errno != EINPROGRESS)
        fail(c, "could not connect");
}

static void over(struct conn *c, long long now) {
    if (c->status != 200 || c->tokens != tokens) {
        fail(c, "not the answer expected");
        return;
    }
    answers++;
    note(&whole, now - c->asked);
    c->state = OVER;
    if (requests_mode) ask(c, now);
}

/* A stamp that is not newer is one told again, as in the event that has the whole answer. */
static void token(struct conn *c, long long now) {
    if (c->value <= c->stamp) return;
    c->stamp = c->value;
    c->tokens++;
    if (c->first)
        note(&gap, now - c->last);
    else
        note(&first, (c->first = now) - c->asked);
    c->last = now;
    note(&lag, now - c->value);
}

static void text(struct conn *c, const char *at, size_t len, long long now) {
    for (const char *end = at + len; at < end; at++) {
        if (c->digits < 0) {
            at = memchr(at, '~', end - at);
            if (!at) return;
            c->digits = c->value = 0;
        } else if (*at >= '0' && *at <= '9') {
            c->value = c->value * 10 + (*at - '0');
            if (++c->digits == DIGITS) {
                token(c, now);
                c->digits = -1;
            }
        } else
            c->digits = -1;
    }
}

static const char *head(struct conn *c, const char *at, const char *end) {
    while (at < end && c->head_len < LONGEST_HEAD - 1) {
        c->head[c->head_len++] = *at++;
        if (c->head_len < 4 || memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4)) continue;
        c->head[c->head_len] = 0;
        c->status = atoi(c->head + 9);
        char *length = strcasestr(c->head, "\r\ncontent-length:");
        c->left = length ? strtoul(length + 17, NULL, 10) : 0;
        c->state = length ? LENGTH : SIZE;
        break;
    }
    return at;
}

static const char *framing(struct conn *c, const char *at) {
    char it = *at++;
    if (c->state == SIZE) {
        if (it == '\n') {
            c->state = c->left ? DATA : TRAILER;
            c->blank = 1;
        } else if (it != '\r')
            c->left = c->left * 16 + (it <= '9' ? it - '0' : (it | 32) - 'a' + 10);
    } else if (c->state == DATA_END) {
        if (it == '\n') {
            c->state = SIZE;
            c->left = 0;
        }
    } else if (it == '\n') {
        if (c->blank) c->state = OVER;
        c->blank = 1;
    } else if (it != '\r')
        c->blank = 0;
    return at;
}

static void take(struct conn *c, const char *at, size_t len, long long now) {
    const char *end = at + len;
    while (at < end && c->state >= HEAD && c->state != OVER) {
        if (c->state == HEAD) {
            at = head(c, at, end);
        } else if (c->state == LENGTH || c->state == DATA) {
            size_t n = (size_t)(end - at) < c->left ? (size_t)(end - at) : c->left;
            text(c, at, n, now);
            at += n;
            c->left -= n;
            if (!c->left && c->state == DATA) c->state = DATA_END;
        } else
            at = framing(c, at);
        if ((c->state == LENGTH && !c->left) || c->state == OVER) {
            over(c, now);
            return;
        }
    }
}

static void receive(struct conn *c) {
    static char buffer[BUFFER];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0)
        take(c, buffer, n, now_us());
    else if (c->state == OVER || c->state == CLOSED)
        close(c->fd);
    else
        fail(c, n ? "connection broke" : "connection was closed");
}

static void serve(struct conn *c, unsigned events) {
    if (c->state == CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error) {
            fail(c, "could not connect");
            return;
        }
        await(c, EPOLLIN, EPOLL_CTL_MOD);
        ask(c, c->asked);
    } else if (c->state == HEAD && events & EPOLLOUT) {
        await(c, EPOLLIN, EPOLL_CTL_MOD);
        send_request(c);
    }
    if (events & EPOLLIN && c->state != CLOSED) receive(c);
}

/* Open what is due; return how many are still at it, and when to look again. */
static int begin(struct conn *all, long long now) {
    int at_it = 0;
    for (int i = 0; i < connections; i++) {
        struct conn *c = &all[i];
        if (c->state == CLOSED && (requests_mode || !c->asked)) {
            at_it++;
            if (c->due <= now) reach(c, now);
        } else
            at_it += c->state != OVER && c->state != CLOSED;
    }
    return at_it;
}

static void run(struct conn *all) {
    struct epoll_event events[512];
    long long started = now_us(), looked = 0, ends = started + (long long)(seconds * 1e6);
    for (int i = 0; i < connections; i++) all[i].due = started + spread * i / connections;
    for (long long now = started; now < ends; now = now_us()) {
        if (now - looked >= 1000) {
            if (!begin(all, now)) break;
            looked = now;
        }
        int n = epoll_wait(poller, events, 512, spread || errors ? 1 : 10);
        for (int i = 0; i < n; i++) serve(events[i].data.ptr, events[i].events);
    }
    for (int i = 0; i < connections && !requests_mode; i++)
        if (all[i].state != OVER && all[i].state != CLOSED) fail(&all[i], "not over in time");
    printf("{\"elapsed_s\":%.6f,\"answers\":%ld,\"errors\":%ld,\"why\":\"%s\"",
           (now_us() - started) / 1e6, answers, errors, why);
}

static void compose(const char *path, const char *body) {
    asking_len = asprintf(&asking,
                          "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer none\r\n"
                          "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                          path, port, strlen(body), body);
}

int main(int argc, char **argv) {
    const char *path = "/", *body = "{}";
    requests_mode = argc > 1 && !strcmp(argv[1], "requests");
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *to = argv[i + 1];
        if (!strcmp(argv[i], "--port")) port = atoi(to);
        if (!strcmp(argv[i], "--path")) path = to;
        if (!strcmp(argv[i], "--body")) body = to;
        if (!strcmp(argv[i], "--connections")) connections = atoi(to);
        if (!strcmp(argv[i], "--seconds")) seconds = atof(to);
        if (!strcmp(argv[i], "--tokens")) tokens = atol(to);
        if (!strcmp(argv[i], "--spread-ms")) spread = atol(to) * 1000;
    }
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    signal(SIGPIPE, SIG_IGN);
    compose(path, body);
    poller = epoll_create1(0);
    struct conn *all = calloc(connections, sizeof *all);
    run(all);
    tell(&first);
    tell(&gap);
    tell(&lag);
    tell(&whole);
    printf("}\n");
    return 0;
}
