/* A disk that charges B2LUIGI_DELAY_MS milliseconds for each file operation, as AFS, EOS, NFS and Lustre do.
 *
 * For LD_PRELOAD. Delays stat, open, mkdir, rename, unlink, link, opendir and fsync, with all their variants; with
 * B2LUIGI_DELAY_BELOW only those with an absolute path below that folder (and fsync).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

static void wait_for_disk(const char *path)
{
    const char *ms = getenv("B2LUIGI_DELAY_MS"), *below = getenv("B2LUIGI_DELAY_BELOW");
    double seconds = ms ? atof(ms) / 1000 : 0;
    struct timespec pause = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    if (seconds > 0 && !(below && path && strncmp(path, below, strlen(below))))
        nanosleep(&pause, NULL);
}

/* Defines `name` as a function that waits and then calls the real one of this name. */
#define SLOW(result, name, path, parameters, arguments)                      \
    result name parameters                                                   \
    {                                                                        \
        static result(*real) parameters;                                     \
        if (!real)                                                           \
            real = (result(*) parameters)dlsym(RTLD_NEXT, #name);            \
        wait_for_disk(path);                                                 \
        return real arguments;                                               \
    }

/* The same for a function whose last argument, the mode of a new file, may be missing. */
#define SLOW_OPEN(name, parameters, arguments)                               \
    int name parameters                                                      \
    {                                                                        \
        static int (*real)();                                                \
        va_list rest;                                                        \
        va_start(rest, flags);                                               \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                        \
        if (!real)                                                           \
            real = (int (*)())dlsym(RTLD_NEXT, #name);                       \
        wait_for_disk(path);                                                 \
        return real arguments;                                               \
    }

struct stat64;
struct statx;

SLOW(int, stat, path, (const char *path, struct stat *found), (path, found))
SLOW(int, stat64, path, (const char *path, struct stat64 *found), (path, found))
SLOW(int, lstat, path, (const char *path, struct stat *found), (path, found))
SLOW(int, lstat64, path, (const char *path, struct stat64 *found), (path, found))
SLOW(int, fstatat, path, (int folder, const char *path, struct stat *found, int flags), (folder, path, found, flags))
SLOW(int, fstatat64, path, (int folder, const char *path, struct stat64 *found, int flags), (folder, path, found, flags))
SLOW(int, __xstat, path, (int version, const char *path, struct stat *found), (version, path, found))
SLOW(int, __xstat64, path, (int version, const char *path, struct stat64 *found), (version, path, found))
SLOW(int, __lxstat, path, (int version, const char *path, struct stat *found), (version, path, found))
SLOW(int, __lxstat64, path, (int version, const char *path, struct stat64 *found), (version, path, found))
SLOW(int, statx, path, (int folder, const char *path, int flags, unsigned int mask, struct statx *found),
     (folder, path, flags, mask, found))
SLOW(int, mkdir, path, (const char *path, mode_t mode), (path, mode))
SLOW(int, mkdirat, path, (int folder, const char *path, mode_t mode), (folder, path, mode))
SLOW(int, rename, path, (const char *path, const char *to), (path, to))
SLOW(int, renameat, path, (int folder, const char *path, int there, const char *to), (folder, path, there, to))
SLOW(int, unlink, path, (const char *path), (path))
SLOW(int, unlinkat, path, (int folder, const char *path, int flags), (folder, path, flags))
SLOW(int, link, path, (const char *path, const char *to), (path, to))
SLOW(int, linkat, path, (int folder, const char *path, int there, const char *to, int flags),
     (folder, path, there, to, flags))
SLOW(DIR *, opendir, path, (const char *path), (path))
SLOW(DIR *, fdopendir, NULL, (int descriptor), (descriptor))
SLOW(int, fsync, NULL, (int descriptor), (descriptor))
SLOW(int, fdatasync, NULL, (int descriptor), (descriptor))
SLOW_OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
SLOW_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
SLOW_OPEN(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
SLOW_OPEN(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
