/* Storage where each operation takes a while, for readers alone.

   Preloaded (LD_PRELOAD): once the process is called "cacheadmin-read", each call
   that looks at names or opens one first waits SLOW_STORAGE_MICROSECONDS, but for
   /proc. So does a network filesystem whose answers are not cached. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static useconds_t each;

static void wait_for(const char *path) {
    if (each && strncmp(path, "/proc", 5) != 0) usleep(each);
}

int prctl(int option, ...) {
    static int (*real)(int, unsigned long, unsigned long, unsigned long, unsigned long);
    va_list list;
    va_start(list, option);
    unsigned long a = va_arg(list, unsigned long), b = va_arg(list, unsigned long),
                  c = va_arg(list, unsigned long), d = va_arg(list, unsigned long);
    va_end(list);
    if (!real) real = dlsym(RTLD_NEXT, "prctl");
    if (option == PR_SET_NAME && strcmp((const char *)a, "cacheadmin-read") == 0) {
        const char *said = getenv("SLOW_STORAGE_MICROSECONDS");
        each = said ? (useconds_t)atoi(said) : 0;
    }
    return real(option, a, b, c, d);
}

#define SLOW(result, name, parameters, arguments, path)          \
    result name parameters {                                     \
        static result(*real) parameters;                         \
        if (!real) real = dlsym(RTLD_NEXT, #name);               \
        wait_for(path);                                          \
        return real arguments;                                   \
    }

SLOW(int, fstatat, (int fd, const char *path, struct stat *status, int flags), (fd, path, status, flags), path)
SLOW(int, fstatat64, (int fd, const char *path, struct stat64 *status, int flags), (fd, path, status, flags), path)
SLOW(int, stat, (const char *path, struct stat *status), (path, status), path)
SLOW(int, stat64, (const char *path, struct stat64 *status), (path, status), path)
SLOW(int, lstat, (const char *path, struct stat *status), (path, status), path)
SLOW(int, lstat64, (const char *path, struct stat64 *status), (path, status), path)
SLOW(ssize_t, readlink, (const char *path, char *buffer, size_t size), (path, buffer, size), path)
SLOW(ssize_t, readlinkat, (int fd, const char *path, char *buffer, size_t size), (fd, path, buffer, size), path)
SLOW(int, faccessat, (int fd, const char *path, int mode, int flags), (fd, path, mode, flags), path)
SLOW(DIR *, fdopendir, (int fd), (fd), "")
SLOW(DIR *, opendir, (const char *path), (path), path)

static mode_t mode_of(int flags, va_list list) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

#define SLOW_OPEN(name)                                          \
    int name(const char *path, int flags, ...) {                 \
        static int (*real)(const char *, int, mode_t);           \
        va_list list;                                            \
        va_start(list, flags);                                   \
        mode_t mode = mode_of(flags, list);                      \
        va_end(list);                                            \
        if (!real) real = dlsym(RTLD_NEXT, #name);               \
        wait_for(path);                                          \
        return real(path, flags, mode);                          \
    }

#define SLOW_OPENAT(name)                                        \
    int name(int fd, const char *path, int flags, ...) {         \
        static int (*real)(int, const char *, int, mode_t);      \
        va_list list;                                            \
        va_start(list, flags);                                   \
        mode_t mode = mode_of(flags, list);                      \
        va_end(list);                                            \
        if (!real) real = dlsym(RTLD_NEXT, #name);               \
        wait_for(path);                                          \
        return real(fd, path, flags, mode);                      \
    }

SLOW_OPEN(open)
SLOW_OPEN(open64)
SLOW_OPENAT(openat)
SLOW_OPENAT(openat64)
