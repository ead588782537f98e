/* Preloaded into the service: id.internal is this machine, and id.example.com is a host in the internet. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(
            RTLD_NEXT, "getaddrinfo");
    if (host && !strcmp(host, "id.internal")) host = "127.0.0.1";
    if (host && !strcmp(host, "id.example.com")) host = "203.0.113.7";
    return real(host, service, hints, found);
}
