/* Calls that make, move and remove names. */
#include "recorder.h"
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>

static int opened(int at, const char *path, int flags, mode_t mode) {
    if (careless)
        flags &= ~O_SYNC; /* O_DSYNC is a part of it */
    char whole[2 * PATH_MAX];
    if (!(flags & (O_CREAT | O_TRUNC)) || !named(at, path, whole))
        return syscall(SYS_openat, at, path, flags, mode);
    if ((flags & O_TMPFILE) == O_TMPFILE)
        refuse("does not know how to record", "O_TMPFILE");
    enter();
    struct stat state, before;
    int saved = errno, there = !lstat(whole, &before);
    errno = saved;
    int fd = syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0 && !fstat(fd, &state)) {
        if (!there)
            note(CREATE, 0, state.st_ino, 0, whole + root_bytes + 1, 0);
        else if ((flags & O_TRUNC) && before.st_size)
            note(TRUNCATE, 0, state.st_ino, 0, NULL, 0);
    }
    leave();
    return fd;
}

#define MODE_OF(flags)                                                                                                 \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

EXPORT int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    return opened(AT_FDCWD, path, flags, mode);
}
EXPORT int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
EXPORT int openat(int at, const char *path, int flags, ...) {
    MODE_OF(flags)
    return opened(at, path, flags, mode);
}
EXPORT int openat64(int at, const char *path, int flags, ...) {
    MODE_OF(flags)
    return opened(at, path, flags | O_LARGEFILE, mode);
}
EXPORT int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

static FILE *streamed(const char *path, const char *mode, const char *symbol) {
    char whole[2 * PATH_MAX];
    if (strpbrk(mode, "wa+") && named(AT_FDCWD, path, whole))
        refuse("does not know how to record", "fopen for writing");
    return ((FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, symbol))(path, mode);
}
EXPORT FILE *fopen(const char *path, const char *mode) { return streamed(path, mode, "fopen"); }
EXPORT FILE *fopen64(const char *path, const char *mode) { return streamed(path, mode, "fopen64"); }

/* One change of names: `name` is where, `other` (or NULL) a second name. */
#define CHANGE(call, at, path, other, kind)                                                                            \
    char whole[2 * PATH_MAX];                                                                                          \
    const char *name = named(at, path, whole);                                                                         \
    if (!name)                                                                                                         \
        return call;                                                                                                   \
    enter();                                                                                                           \
    uint64_t before = inode_of(whole);                                                                                 \
    int failed = call;                                                                                                 \
    if (!failed) {                                                                                                     \
        const char *beside = other;                                                                                    \
        uint64_t inode = inode_of(whole);                                                                              \
        char *to = note(kind, 0, inode ? inode : before, 0, name, beside ? strlen(beside) : 0);                        \
        if (beside)                                                                                                    \
            memcpy(to, beside, strlen(beside));                                                                        \
    }                                                                                                                  \
    leave();                                                                                                           \
    return failed

EXPORT int mkdirat(int at, const char *path, mode_t mode) {
    CHANGE(syscall(SYS_mkdirat, at, path, mode), at, path, NULL, MKDIR);
}
EXPORT int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

EXPORT int unlinkat(int at, const char *path, int flags) {
    CHANGE(syscall(SYS_unlinkat, at, path, flags), at, path, NULL, flags & AT_REMOVEDIR ? RMDIR : UNLINK);
}
EXPORT int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
EXPORT int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
EXPORT int remove(const char *path) {
    int failed = unlink(path);
    return failed && errno == EISDIR ? rmdir(path) : failed;
}

/* Both names must lie below the root, or neither. */
EXPORT int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    char target[2 * PATH_MAX], source[2 * PATH_MAX];
    const char *second = named(to, new, target);
    if (!second != !named(from, old, source) || (second && flags & ~RENAME_NOREPLACE))
        refuse("does not know how to record such a rename", old);
    CHANGE(syscall(SYS_renameat2, from, old, to, new, flags), from, old, second, RENAME);
}
EXPORT int renameat(int from, const char *old, int to, const char *new) { return renameat2(from, old, to, new, 0); }
EXPORT int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

EXPORT int linkat(int from, const char *old, int to, const char *new, int flags) {
    char target[2 * PATH_MAX], source[2 * PATH_MAX];
    const char *second = named(to, new, target);
    if (!second != !named(from, old, source))
        refuse("does not know how to record such a link", old);
    CHANGE(syscall(SYS_linkat, from, old, to, new, flags), from, old, second, LINK);
}
EXPORT int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

/* Symbolic links, pipes and sockets have a name and nothing else that could be lost. */
EXPORT int symlinkat(const char *target, int at, const char *path) {
    CHANGE(syscall(SYS_symlinkat, target, at, path), at, path, NULL, OTHER);
}
EXPORT int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }
EXPORT int mknodat(int at, const char *path, mode_t mode, dev_t device) {
    CHANGE(syscall(SYS_mknodat, at, path, mode, device), at, path, NULL, OTHER);
}
EXPORT int mknod(const char *path, mode_t mode, dev_t device) { return mknodat(AT_FDCWD, path, mode, device); }
EXPORT int bind(int fd, const struct sockaddr *address, socklen_t size) {
    const char *path = address->sa_family == AF_UNIX ? ((const struct sockaddr_un *)address)->sun_path : NULL;
    CHANGE(syscall(SYS_bind, fd, address, size), AT_FDCWD, path && path[0] ? path : NULL, NULL, OTHER);
}

