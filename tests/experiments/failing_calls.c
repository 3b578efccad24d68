/* Loaded before libc (LD_PRELOAD): once armed, the n-th system call that touches files fails, or writes half.

   fault_arm(n, error, last): of the calls from now on the n-th fails with `error`, and if `last`, all after it; error 0
   is a short write. Returns nothing. fault_count(): how many calls there were since. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static long armed = 0, count = 0, nth = -1;
static int wanted = 0, lasting = 0;

void fault_arm(long n, int error, int last) { count = 0; nth = n; wanted = error; lasting = last; armed = 1; }
long fault_count(void) { return count; }
void fault_disarm(void) { armed = 0; }

static int fails(void) {
    if (!armed) return 0;
    count++;
    return count == nth || (lasting && nth > 0 && count > nth);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_OR(call) do { if (fails() && wanted) { errno = wanted; return -1; } return call; } while (0)

ssize_t write(int file, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = REAL(write);
    if (file > 2 && fails()) {
        if (wanted) { errno = wanted; return -1; }
        return real(file, data, size > 1 ? size / 2 : size);
    }
    return real(file, data, size);
}

int fsync(int file) { FAIL_OR(REAL(fsync)(file)); }
int rename(const char *one, const char *other) { FAIL_OR(REAL(rename)(one, other)); }
int link(const char *one, const char *other) { FAIL_OR(REAL(link)(one, other)); }
int linkat(int a, const char *one, int b, const char *other, int flags) { FAIL_OR(REAL(linkat)(a, one, b, other, flags)); }
int unlink(const char *path) { FAIL_OR(REAL(unlink)(path)); }
int mkdir(const char *path, mode_t mode) { FAIL_OR(REAL(mkdir)(path, mode)); }

#define OPENS(name)                                             \
    int name(const char *path, int flags, ...) {                \
        static int (*real)(const char *, int, ...);             \
        va_list rest;                                           \
        va_start(rest, flags);                                  \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                           \
        if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        if (fails() && wanted) { errno = wanted; return -1; }   \
        return real(path, flags, mode);                         \
    }
OPENS(open)
OPENS(open64)
