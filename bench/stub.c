// The stub engine for load: answers OpenAI-style requests with canned bytes, from one epoll thread.
//
// usage: stub FOLDER PORT   (PORT 0 takes a free one; the port is printed)
// FOLDER holds the answers, made by bench/answers.py: {chat,text}.{plain,stream,usage}, models, health, missing.
// A stream's pieces are written one at a time, in turns with those of the other open streams, as an engine that
// decodes one token for each of its sequences does; `GET /step/5` makes such a turn last 5 ms (0, as at the
// start: no waiting), `GET /coalesce/8` puts 8 pieces into one write (at the start 1).
// A request with `"user": "17"`, a number, is kept account of: `GET /sent` has a line `17 TOKENS` for each of them,
// which counts the tokens of those pieces that were written whole.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PIECES = 256, MAX_EVENTS = 512, MAX_REQUEST = 1 << 24, MAX_USERS = 1 << 22 };
enum { CHAT_PLAIN, CHAT_STREAM, CHAT_USAGE, TEXT_PLAIN, TEXT_STREAM, TEXT_USAGE, MODELS, HEALTH, MISSING, ANSWERS };
static const char *const NAMES[ANSWERS] = {"chat.plain",  "chat.stream", "chat.usage", "text.plain", "text.stream",
                                           "text.usage", "models",      "health",     "missing"};

typedef struct { int count; struct iovec piece[MAX_PIECES]; int tokens[MAX_PIECES]; } Answer;

typedef struct Connection {
    int fd, blocked;                   // blocked: the socket is full, epoll says when to go on
    char *in; size_t have, room;       // unread bytes of requests
    const Answer *answer; int next; size_t sent;  // the answer on its way: piece, bytes of it sent
    int position;                      // in `writing`, or -1
    long user;                         // who asked for the answer, or -1
} Connection;

static Answer answers[ANSWERS];
static Connection **writing;           // connections with an answer on its way and room in the socket
static int writing_count, writing_room, pieces_per_write = 1, step_ms, epoll_fd;
static int *sent_to;                   // tokens by user, each one more than it is; 0: not asked yet
static long users;

static void die(const char *what) { perror(what); exit(1); }

static int tokens_in(const char *bytes, size_t length, int streamed) {  // an event holds one, an answer says how many
    static const char *const KEYS[] = {"\"content\":\"", "\"text\":\""}, TOTAL[] = "\"completion_tokens\":";
    const char *end = bytes + length, *at;
    if (!streamed) return (at = memmem(bytes, length, TOTAL, strlen(TOTAL))) ? atoi(at + strlen(TOTAL)) : 0;
    for (int i = 0; i < 2; i++)
        if ((at = memmem(bytes, length, KEYS[i], strlen(KEYS[i]))) && (at += strlen(KEYS[i])) < end) return *at != '"';
    return 0;
}

static void load_answer(const char *folder, const char *name, Answer *answer) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    int streamed = !strstr(name, ".plain");
    uint32_t length;
    while (answer->count < MAX_PIECES && fread(&length, sizeof length, 1, file) == 1) {
        char *bytes = malloc(length);
        if (!bytes || fread(bytes, 1, length, file) != length) die(path);
        answer->tokens[answer->count] = tokens_in(bytes, length, streamed);
        answer->piece[answer->count++] = (struct iovec){bytes, length};
    }
    fclose(file);
}

// --- requests -------------------------------------------------------------------------------------------------

static const char *header(const char *head, const char *end, const char *name) {  // value of a header, or NULL
    size_t length = strlen(name);
    for (const char *line = memchr(head, '\n', end - head); line; line = memchr(line, '\n', end - line)) {
        if (++line + length >= end) break;
        if (!strncasecmp(line, name, length)) return line + length;
    }
    return NULL;
}

// Length of the request at `in` (0: not all there yet); *body and *body_length are set to its body as sent.
static size_t whole_request(const char *in, size_t have, const char **body, size_t *body_length) {
    const char *gap = memmem(in, have, "\r\n\r\n", 4);
    if (!gap) return 0;
    *body = gap + 4;
    const char *chunked = header(in, gap, "transfer-encoding:"), *length = header(in, gap, "content-length:");
    if (!chunked) {
        *body_length = length ? strtoull(length, NULL, 10) : 0;
        size_t total = (size_t)(*body - in) + *body_length;
        return total <= have ? total : 0;
    }
    for (const char *at = *body, *end = in + have;;) {
        const char *line = memmem(at, end - at, "\r\n", 2);
        if (!line) return 0;
        size_t size = strtoull(at, NULL, 16);
        if (size > MAX_REQUEST || line + 2 + size + 2 > end) return 0;
        at = line + 2 + size + 2;
        if (!size) { *body_length = at - *body; return at - in; }
    }
}

static int says_true(const char *body, size_t length, const char *key) {
    const char *at = memmem(body, length, key, strlen(key)), *end = body + length;
    if (!at) return 0;
    for (at += strlen(key); at < end && (*at == ' ' || *at == ':'); at++) {}
    return end - at >= 4 && !memcmp(at, "true", 4);
}

static void set_coalesce(int pieces) {
    pieces_per_write = pieces < 1 || pieces > MAX_PIECES ? MAX_PIECES : pieces;
}

static long user_of(const char *body, size_t length) {  // notes that he has asked; -1: the body names none
    static const char KEY[] = "\"user\":";
    const char *at = memmem(body, length, KEY, strlen(KEY)), *end = body + length;
    if (!at) return -1;
    for (at += strlen(KEY); at < end && (*at == ' ' || *at == '"'); at++) {}
    long user = at < end && *at >= '0' && *at <= '9' ? strtol(at, NULL, 10) : -1;
    if (user < 0 || user >= MAX_USERS) return -1;
    if (!sent_to && !(sent_to = calloc(MAX_USERS, sizeof *sent_to))) die("memory");
    if (user >= users) users = user + 1;
    if (!sent_to[user]) sent_to[user] = 1;
    return user;
}

static const Answer *all_sent(void) {  // valid until the next call
    static Answer answer;
    static char *text;
    size_t length = 0, head;
    if (!(text = realloc(text, 128 + 24 * (size_t)users))) die("memory");
    for (long user = 0; user < users; user++)
        if (sent_to[user]) length += sprintf(text + 128 + length, "%ld %d\n", user, sent_to[user] - 1);
    head = sprintf(text, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", length);
    answer.count = 2;
    answer.piece[0] = (struct iovec){text, head};
    answer.piece[1] = (struct iovec){text + 128, length};
    if (!length) answer.count = 1;
    return &answer;
}

static const Answer *answer_for(const char *in, size_t length, const char *body, size_t body_length) {
    const char *space = memchr(in, ' ', length);
    const char *path = space ? space + 1 : in;
    size_t line = (const char *)memchr(in, '\n', length) - path;
    if (memmem(path, line, "/models", 7)) return &answers[MODELS];
    if (memmem(path, line, "/health", 7)) return &answers[HEALTH];
    if (memmem(path, line, "/sent", 5)) return all_sent();
    const char *found = memmem(path, line, "/step/", 6);
    if (found) return step_ms = atoi(found + 6), &answers[HEALTH];
    found = memmem(path, line, "/coalesce/", 10);
    if (found) return set_coalesce(atoi(found + 10)), &answers[HEALTH];
    found = memmem(path, line, "/completions", 12);
    if (!found) return &answers[MISSING];
    int kind = memmem(path, line, "/chat/", 6) ? CHAT_PLAIN : TEXT_PLAIN;
    if (!says_true(body, body_length, "\"stream\"")) return &answers[kind];
    return &answers[kind + (says_true(body, body_length, "\"include_usage\"") ? 2 : 1)];
}

// --- connections ----------------------------------------------------------------------------------------------

static void stop_writing(Connection *c) {
    if (c->position < 0) return;
    Connection *last = writing[--writing_count];
    writing[last->position = c->position] = last;
    c->position = -1;
}

static void start_writing(Connection *c) {
    if (c->position >= 0) return;
    if (writing_count == writing_room) {
        writing_room = writing_room ? writing_room * 2 : 1024;
        if (!(writing = realloc(writing, writing_room * sizeof *writing))) die("memory");
    }
    writing[c->position = writing_count++] = c;
}

static void hang_up(Connection *c) {
    stop_writing(c);
    close(c->fd);
    free(c->in);
    free(c);
}

static void next_request(Connection *c) {  // begins the answer to the next whole request, if there is one
    const char *body;
    size_t body_length, length = whole_request(c->in, c->have, &body, &body_length);
    if (!length) return;
    c->answer = answer_for(c->in, length, body, body_length);
    c->user = user_of(body, body_length);
    c->next = 0;
    c->sent = 0;
    memmove(c->in, c->in + length, c->have -= length);
    start_writing(c);
}

static int write_turn(Connection *c) {  // one write; 0: the connection is gone
    struct iovec turn[MAX_PIECES];
    int count = c->answer->count - c->next;
    if (count > pieces_per_write) count = pieces_per_write;
    memcpy(turn, c->answer->piece + c->next, count * sizeof *turn);
    turn[0].iov_base = (char *)turn[0].iov_base + c->sent;
    turn[0].iov_len -= c->sent;
    ssize_t wrote = writev(c->fd, turn, count);
    if (wrote < 0) {
        if (errno != EAGAIN) return hang_up(c), 0;
        stop_writing(c);
        c->blocked = 1;
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &(struct epoll_event){EPOLLIN | EPOLLOUT, {.ptr = c}});
        return 1;
    }
    for (c->sent += wrote; c->next < c->answer->count && c->sent >= c->answer->piece[c->next].iov_len; c->next++) {
        c->sent -= c->answer->piece[c->next].iov_len;
        if (c->user >= 0) sent_to[c->user] += c->answer->tokens[c->next];
    }
    if (c->next == c->answer->count) {
        c->answer = NULL;
        stop_writing(c);
        next_request(c);
    }
    return 1;
}

static void read_more(Connection *c) {
    if (c->have == c->room) {
        if (c->room >= MAX_REQUEST || !(c->in = realloc(c->in, c->room = c->room ? c->room * 2 : 4096))) {
            hang_up(c);
            return;
        }
    }
    ssize_t got = read(c->fd, c->in + c->have, c->room - c->have);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) hang_up(c);
        return;
    }
    c->have += got;
    if (!c->answer) next_request(c);
    if (c->answer && !c->blocked && !c->next && !c->sent) write_turn(c);
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        Connection *c = calloc(1, sizeof *c);
        if (!c) die("memory");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        c->fd = fd;
        c->position = -1;
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){EPOLLIN, {.ptr = c}});
    }
}

static int listen_on(int port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) die("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void serve(int listener) {
    struct epoll_event events[MAX_EVENTS];
    for (long next_turn = 0, wait;;) {
        wait = !writing_count ? -1 : !step_ms ? 0 : next_turn - milliseconds();
        int count = epoll_wait(epoll_fd, events, MAX_EVENTS, writing_count && wait < 0 ? 0 : wait);
        for (int i = 0; i < count; i++) {
            Connection *c = events[i].data.ptr;
            if (!c) { accept_all(listener); continue; }
            if (events[i].events & EPOLLOUT && c->blocked) {
                c->blocked = 0;
                epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &(struct epoll_event){EPOLLIN, {.ptr = c}});
                start_writing(c);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_more(c);
        }
        if (step_ms) {
            long now = milliseconds();
            if (now < next_turn) continue;
            next_turn = now + step_ms;
        }
        for (int i = writing_count - 1; i >= 0; i--)  // backwards: a turn may remove its own entry
            if (i < writing_count) write_turn(writing[i]);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) return fprintf(stderr, "usage: stub FOLDER PORT\n"), 2;
    for (int i = 0; i < ANSWERS; i++) load_answer(argv[1], NAMES[i], &answers[i]);
    signal(SIGPIPE, SIG_IGN);  // a client that leaves within its answer
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(0);
    int listener = listen_on(atoi(argv[2]));
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &(struct epoll_event){EPOLLIN, {.ptr = NULL}});
    serve(listener);
}
