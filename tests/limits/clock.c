/* Preloaded into the service: while the file FAKE_TIME exists, the time of day is the second since 1970 that is
   written in it, and stands still. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*real)(clockid_t, struct timespec *) =
        (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    const char *file = getenv("FAKE_TIME");
    if (failed || !file || clock != CLOCK_REALTIME) return failed;
    char text[32] = "";
    int in = open(file, O_RDONLY | O_CLOEXEC);
    if (in < 0) return failed;
    if (read(in, text, sizeof text - 1) > 0) {
        now->tv_sec = strtoll(text, NULL, 10);
        now->tv_nsec = 0;
    }
    close(in);
    return failed;
}
