/* A fake engine that is never the bottleneck: one thread, epoll, HTTP/1.1 with kept connections.
 *
 * It speaks Ollama's API as far as ORAC uses it, streaming NDJSON, and the same answers as
 * OpenAI's SSE at /v1/chat/completions for gateways that speak that. A token is "~" and the
 * microsecond of CLOCK_MONOTONIC at which it was written, in 13 digits, so that whoever receives
 * it can tell how long it was under way.
 *
 *     upstream [--port N] [--tokens N] [--pace-us N] [--first-us N]
 *
 * Prints the port and serves until it is killed. num_predict and max_tokens of a request go before
 * --tokens, and so do "first_us=N" and "pace_us=N" in its prompt. Without a pace the tokens leave
 * as fast as they are taken, BURST in one write. GET /stats tells what was asked, and for each
 * answer whose client left its "mark=N", when that was noticed, and the tokens written until then.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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

#define BURST 16
#define MOST_ABORTS 4096
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define BLOB "sha256-" DIGEST

enum kind { NONE, CHAT, GENERATE, SSE };

struct text {
    char *at;
    size_t len, cap;
};

struct conn {
    int fd, heap, polled;
    struct text in, out;
    size_t written;
    enum kind kind;
    long left, sent, mark;
    long long due, pace, stamp;
};

struct abort_ {
    long mark, tokens;
    long long at;
};

static long default_tokens = 16;
static long long default_pace, default_first;
static int poller, loaded, heap_len;
static struct conn *heap[1 << 16];
static long requests, streams, finished, aborted, open_now;
static struct abort_ aborts[MOST_ABORTS];

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void room(struct text *text, size_t more) {
    if (text->len + more + 1 <= text->cap) return;
    text->cap = (text->len + more + 1) * 2;
    text->at = realloc(text->at, text->cap);
    if (!text->at) abort();
}

static void add(struct text *text, const char *what, size_t len) {
    room(text, len);
    memcpy(text->at + text->len, what, len);
    text->len += len;
    text->at[text->len] = 0;
}

/* A heap of the streams that wait for their next token, by when that is due. */

static void place(int i, struct conn *c) {
    heap[i] = c;
    c->heap = i;
}

static void up(int i) {
    struct conn *c = heap[i];
    for (; i > 0 && heap[(i - 1) / 2]->due > c->due; i = (i - 1) / 2) place(i, heap[(i - 1) / 2]);
    place(i, c);
}

static void down(int i) {
    struct conn *c = heap[i];
    for (int k; (k = 2 * i + 1) < heap_len; i = k) {
        if (k + 1 < heap_len && heap[k + 1]->due < heap[k]->due) k++;
        if (heap[k]->due >= c->due) break;
        place(i, heap[k]);
    }
    place(i, c);
}

static void wait_for(struct conn *c) {
    if (c->heap < 0) {
        place(heap_len++, c);
        up(c->heap);
    }
}

static void forget(struct conn *c) {
    int i = c->heap;
    if (i < 0) return;
    c->heap = -1;
    struct conn *last = heap[--heap_len];
    if (last == c) return;
    place(i, last);
    down(i);
    up(last->heap);
}

/* Reading what was asked: no JSON parser is needed for bodies that we know. */

static const char *value(const char *body, const char *key) {
    const char *at = strstr(body, key);
    if (!at) return NULL;
    at += strlen(key);
    while (*at == ' ' || *at == ':') at++;
    return at;
}

static long long number(const char *body, const char *key, long long otherwise) {
    const char *at = value(body, key);
    return at && (*at == '-' || (*at >= '0' && *at <= '9')) ? atoll(at) : otherwise;
}

static void answer(struct conn *c, int status, const char *body) {
    char head[256];
    int len = snprintf(head, sizeof head,
                       "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n",
                       status, status == 200 ? "OK" : "Not Found", strlen(body));
    add(&c->out, head, len);
    add(&c->out, body, strlen(body));
}

/* Writing tokens. */

static void chunk(struct conn *c, const char *line, int len) {
    char size[16];
    add(&c->out, size, snprintf(size, sizeof size, "%x\r\n", len));
    add(&c->out, line, len);
    add(&c->out, "\r\n", 2);
}

static long long stamp(struct conn *c) {
    long long now = now_us();
    return c->stamp = now > c->stamp ? now : c->stamp + 1;
}

#define MADE "\"model\":\"fast:latest\",\"created_at\":\"2026-01-01T00:00:00.000000Z\""
#define PIECE "\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"fast\""

static void write_token(struct conn *c) {
    static const char *forms[] = {
        [CHAT] = "{" MADE ",\"message\":{\"role\":\"assistant\",\"content\":\"~%013lld\"},"
                 "\"done\":false}\n",
        [GENERATE] = "{" MADE ",\"response\":\"~%013lld\",\"done\":false}\n",
        [SSE] = "data: {" PIECE ",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"~%013lld\"},"
                "\"finish_reason\":null}]}\n\n",
    };
    char line[512];
    chunk(c, line, snprintf(line, sizeof line, forms[c->kind], stamp(c)));
    c->left--;
    c->sent++;
}

static void write_end(struct conn *c) {
    char line[512];
    int len;
    if (c->kind == SSE)
        len = snprintf(line, sizeof line,
                       "data: {" PIECE ",\"choices\":[{\"index\":0,\"delta\":{},"
                       "\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n");
    else
        len = snprintf(line, sizeof line,
                       "{" MADE ",%s,\"done\":true,\"done_reason\":\"length\","
                       "\"total_duration\":%ld,\"load_duration\":1,\"prompt_eval_count\":8,"
                       "\"prompt_eval_duration\":1000000,\"eval_count\":%ld,"
                       "\"eval_duration\":%ld}\n",
                       c->kind == CHAT ? "\"message\":{\"role\":\"assistant\",\"content\":\"\"}"
                                       : "\"response\":\"\"",
                       1000000 * (c->sent + 1), c->sent, 1000000 * c->sent);
    chunk(c, line, len);
    add(&c->out, "0\r\n\r\n", 5);
    c->kind = NONE;
    finished++;
}

static void write_whole(struct conn *c, long tokens) {
    struct text body = {0};
    char part[256];
    add(&body, part,
        sprintf(part, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,"
                      "\"model\":\"fast\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                      "\"assistant\",\"content\":\""));
    for (long i = 0; i < tokens; i++) add(&body, part, sprintf(part, "~%013lld", stamp(c)));
    add(&body, part,
        sprintf(part, "\"},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":8,"
                      "\"completion_tokens\":%ld,\"total_tokens\":%ld}}",
                tokens, tokens + 8));
    answer(c, 200, body.at);
    free(body.at);
}

static void head(struct conn *c) {
    static const char *kinds[] = {[CHAT] = "application/x-ndjson",
                                  [GENERATE] = "application/x-ndjson",
                                  [SSE] = "text/event-stream"};
    char line[256];
    add(&c->out, line,
        snprintf(line, sizeof line,
                 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n",
                 kinds[c->kind]));
}

/* Tokens that are due; a client that does not read holds them up. */
static void produce(struct conn *c, long long now) {
    if (c->out.len > c->written) return;
    if (!c->sent) head(c);
    for (int i = 0; i < BURST && c->left > 0 && c->due <= now; i++) {
        write_token(c);
        c->due += c->pace;
    }
    if (!c->left)
        write_end(c);
    else
        wait_for(c);
}

static void begin(struct conn *c, enum kind kind, const char *body) {
    c->kind = kind;
    c->left = number(body, kind == SSE ? "\"max_tokens\"" : "\"num_predict\"", default_tokens);
    c->pace = number(body, "pace_us=", default_pace);
    c->mark = number(body, "mark=", -1);
    c->due = now_us() + number(body, "first_us=", default_first);
    c->sent = 0;
    streams++;
    wait_for(c);
    if (c->due <= now_us()) {
        forget(c);
        produce(c, now_us());
    }
}

/* Routes. */

#define DETAILS "\"details\":{\"format\":\"gguf\",\"family\":\"llama\",\"families\":[\"llama\"]," \
    "\"parameter_size\":\"1B\",\"quantization_level\":\"Q4_0\"}"
#define MODEL "{\"name\":\"fast:latest\",\"model\":\"fast:latest\",\"size\":1000000," \
    "\"digest\":\"" DIGEST "\"," DETAILS

static void stats(struct conn *c) {
    struct text body = {0};
    char part[256];
    add(&body, part,
        sprintf(part, "{\"requests\":%ld,\"streams\":%ld,\"finished\":%ld,\"aborted\":%ld,"
                      "\"open\":%ld,\"aborts\":[",
                requests, streams, finished, aborted, open_now));
    long from = aborted > MOST_ABORTS ? aborted - MOST_ABORTS : 0;
    for (long i = from; i < aborted; i++) {
        struct abort_ *it = &aborts[i % MOST_ABORTS];
        add(&body, part,
            sprintf(part, "%s[%ld,%lld,%ld]", i > from ? "," : "", it->mark, it->at, it->tokens));
    }
    add(&body, "]}", 2);
    answer(c, 200, body.at);
    free(body.at);
}

static void load(struct conn *c, const char *body) {
    loaded = number(body, "\"keep_alive\"", -1) != 0;
    answer(c, 200, loaded ? "{" MADE ",\"response\":\"\",\"done\":true,\"done_reason\":\"load\"}"
                          : "{" MADE ",\"response\":\"\",\"done\":true,\"done_reason\":\"unload\"}");
}

static void complete(struct conn *c, const char *body) {
    const char *stream = value(body, "\"stream\"");
    if (stream && *stream == 't')
        begin(c, SSE, body);
    else
        write_whole(c, number(body, "\"max_tokens\"", default_tokens));
}

static void route(struct conn *c, const char *path, const char *body) {
    requests++;
    if (!strcmp(path, "/api/chat"))
        begin(c, CHAT, body);
    else if (!strcmp(path, "/v1/chat/completions"))
        complete(c, body);
    else if (!strcmp(path, "/api/generate"))
        strstr(body, "\"prompt\"") ? begin(c, GENERATE, body) : load(c, body);
    else if (!strcmp(path, "/api/version"))
        answer(c, 200, "{\"version\":\"0.32.15\"}");
    else if (!strcmp(path, "/api/tags"))
        answer(c, 200, "{\"models\":[" MODEL ",\"modified_at\":\"2026-01-01T00:00:00Z\"}]}");
    else if (!strcmp(path, "/api/ps"))
        answer(c, 200,
               loaded ? "{\"models\":[" MODEL ",\"size_vram\":0,\"context_length\":4096,"
                        "\"expires_at\":\"2318-01-01T00:00:00Z\"}]}"
                      : "{\"models\":[]}");
    else if (!strcmp(path, "/api/show"))
        answer(c, 200,
               "{\"modelfile\":\"FROM /blobs/" BLOB "\\n\"," DETAILS ",\"model_info\":{"
               "\"general.architecture\":\"llama\",\"llama.context_length\":4096},"
               "\"capabilities\":[\"completion\"]}");
    else if (!strcmp(path, "/stats"))
        stats(c);
    else
        answer(c, 404, "{\"error\":\"not found\"}");
}

/* Connections. */

static void leave(struct conn *c) {
    if (c->kind != NONE) {
        aborts[aborted++ % MOST_ABORTS] = (struct abort_){c->mark, c->sent, now_us()};
        forget(c);
    }
    close(c->fd);
    free(c->in.at);
    free(c->out.at);
    c->fd = -1;
    open_now--;
}

static int flush(struct conn *c) {
    while (c->written < c->out.len) {
        ssize_t n = send(c->fd, c->out.at + c->written, c->out.len - c->written, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) return -1;
        c->written += n;
    }
    int blocked = c->written < c->out.len;
    if (!blocked) c->written = c->out.len = 0;
    if (blocked != c->polled) {
        struct epoll_event e = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
        c->polled = blocked;
    }
    return 0;
}

/* Answer one request that has wholly arrived; whether there was one. */
static int take(struct conn *c) {
    char *at = c->in.at, *end;
    if (c->kind != NONE || !c->in.len || !(end = strstr(at, "\r\n\r\n"))) return 0;
    *end = 0;
    char *length = strcasestr(at, "\r\ncontent-length:");
    size_t body = length ? strtoul(length + 17, NULL, 10) : 0;
    size_t all = end + 4 - at + body;
    if (c->in.len < all) {
        *end = '\r';
        return 0;
    }
    char path[128] = "", kept = at[all];
    sscanf(at, "%*15s %127s", path);
    at[all] = 0;
    route(c, path, end + 4);
    at[all] = kept;
    memmove(at, at + all, c->in.len - all + 1);
    c->in.len -= all;
    return 1;
}

static int receive(struct conn *c) {
    for (;;) {
        room(&c->in, 16384);
        ssize_t n = recv(c->fd, c->in.at + c->in.len, 16384, 0);
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0) return -1;
        c->in.len += n;
        c->in.at[c->in.len] = 0;
        if (n < 16384) break;
    }
    while (take(c)) {
    }
    return flush(c);
}

static void welcome(int listener) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct conn *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->heap = -1;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
        open_now++;
    }
}

static int advance(struct conn *c, long long now) {
    forget(c);
    produce(c, now);
    return flush(c);
}

static void serve(struct conn *c, unsigned events) {
    int gone = events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? receive(c) : 0;
    if (!gone && events & EPOLLOUT) gone = flush(c);
    if (!gone && c->kind != NONE && c->heap < 0 && !c->polled) wait_for(c);
    while (!gone && c->kind == NONE && c->in.len && take(c)) gone = flush(c);
    if (gone) leave(c);
}

static void loop(int listener) {
    struct epoll_event events[256];
    static struct conn *gone[256];
    for (;;) {
        long long now = now_us();
        int patience = heap_len ? (heap[0]->due <= now ? 0 : (heap[0]->due - now + 999) / 1000) : -1;
        int n = epoll_wait(poller, events, 256, patience), left = 0;
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c)
                welcome(listener);
            else {
                serve(c, events[i].events);
                if (c->fd < 0) gone[left++] = c;
            }
        }
        while (left) free(gone[--left]);
        now = now_us();
        for (int i = heap_len; i > 0 && heap_len && heap[0]->due <= now; i--) {
            struct conn *c = heap[0];
            int failed = advance(c, now);
            if (!failed)
                while (c->kind == NONE && c->in.len && take(c)) failed = flush(c);
            if (failed) {
                leave(c);
                free(c);
            }
        }
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof here;
    for (int i = 1; i + 1 < argc; i += 2) {
        long long n = atoll(argv[i + 1]);
        if (!strcmp(argv[i], "--port")) here.sin_port = htons(n);
        if (!strcmp(argv[i], "--tokens")) default_tokens = n;
        if (!strcmp(argv[i], "--pace-us")) default_pace = n;
        if (!strcmp(argv[i], "--first-us")) default_first = n;
    }
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    signal(SIGPIPE, SIG_IGN);
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&here, len) || listen(listener, 4096)) {
        perror("upstream");
        return 1;
    }
    getsockname(listener, (struct sockaddr *)&here, &len);
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    poller = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    loop(listener);
}
