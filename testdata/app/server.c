/* Serves index.html of the working directory on $PORT, one connection at a time.
 * `--check` asks a running server once; `--once` answers one request and ends. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in address(void) {
    const char *port = getenv("PORT");
    struct sockaddr_in addr = {.sin_family = AF_INET};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    addr.sin_port = htons(port ? (unsigned short)atoi(port) : 8080);
    return addr;
}

static int check(void) {
    struct sockaddr_in addr = address();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char answer[4096];
    ssize_t got;
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) || write(fd, "GET / HTTP/1.0\r\n\r\n", 18) != 18)
        return 1;
    while ((got = read(fd, answer, sizeof answer)) > 0)
        fwrite(answer, 1, (size_t)got, stdout);
    return 0;
}

static int serve_one(int listener) {
    static const char head[] = "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n";
    char buffer[4096];
    size_t got;
    int fd = accept(listener, NULL, NULL);
    FILE *page = fopen("index.html", "r");
    if (fd < 0 || !page)
        return 1;
    if (read(fd, buffer, sizeof buffer) < 0 || write(fd, head, sizeof head - 1) < 0)
        return 1;
    while ((got = fread(buffer, 1, sizeof buffer, page)) > 0)
        if (write(fd, buffer, got) < 0)
            break;
    fclose(page);
    close(fd);
    return 0;
}

int main(int argc, char **argv) {
    struct sockaddr_in addr = address();
    int on = 1, once = argc > 1 && !strcmp(argv[1], "--once"), failed;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc > 1 && !strcmp(argv[1], "--check"))
        return check();
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&addr, sizeof addr) || listen(listener, 8)) {
        perror("server");
        return 1;
    }
    do
        failed = serve_one(listener);
    while (!once && !failed);
    return failed;
}
