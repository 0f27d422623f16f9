/* Calls that change or sync what is in files. */
#include "recorder.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static void note_bytes(int flags, uint64_t inode, uint64_t at, const struct iovec *pieces, uint64_t bytes) {
    char *to = note(WRITE, flags, inode, at, NULL, bytes);
    for (; bytes; pieces++) {
        uint64_t part = pieces->iov_len < bytes ? pieces->iov_len : bytes;
        memcpy(to, pieces->iov_base, part);
        to += part;
        bytes -= part;
    }
}

/* `at` is -1 for a write at the descriptor's own position. */
static ssize_t put(int fd, const struct iovec *pieces, int count, off_t at, int flags, int call) {
    struct stat state;
    int recorded = ours(fd, &state) && S_ISREG(state.st_mode);
    off_t from = at;
    int how = 0;
    if (recorded) {
        enter();
        how = fcntl(fd, F_GETFL);
        fstat(fd, &state);
        if (at < 0 || (how & O_APPEND))
            from = (how & O_APPEND) || (flags & RWF_APPEND) ? state.st_size : lseek(fd, 0, SEEK_CUR);
    }
    ssize_t done;
    switch (call) {
    case SYS_write: done = syscall(SYS_write, fd, pieces->iov_base, pieces->iov_len); break;
    case SYS_pwrite64: done = syscall(SYS_pwrite64, fd, pieces->iov_base, pieces->iov_len, at); break;
    case SYS_writev: done = syscall(SYS_writev, fd, pieces, count); break;
    case SYS_pwritev: done = syscall(SYS_pwritev, fd, pieces, count, at, 0); break;
    default: done = syscall(SYS_pwritev2, fd, pieces, count, at, 0, flags);
    }
    if (recorded) {
        if (done > 0)
            note_bytes((how & O_DSYNC) || (flags & (RWF_DSYNC | RWF_SYNC)) ? DURABLE : 0, state.st_ino, from, pieces, done);
        leave();
    }
    return done;
}

EXPORT ssize_t write(int fd, const void *data, size_t size) {
    struct iovec piece = {(void *)data, size};
    return put(fd, &piece, 1, -1, 0, SYS_write);
}
EXPORT ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    struct iovec piece = {(void *)data, size};
    return put(fd, &piece, 1, at, 0, SYS_pwrite64);
}
EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return pwrite(fd, data, size, at); }
EXPORT ssize_t writev(int fd, const struct iovec *pieces, int count) { return put(fd, pieces, count, -1, 0, SYS_writev); }
EXPORT ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t at) {
    return put(fd, pieces, count, at, 0, SYS_pwritev);
}
EXPORT ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off_t at) { return pwritev(fd, pieces, count, at); }
EXPORT ssize_t pwritev2(int fd, const struct iovec *pieces, int count, off_t at, int flags) {
    return put(fd, pieces, count, at, flags, SYS_pwritev2);
}
EXPORT ssize_t pwritev64v2(int fd, const struct iovec *pieces, int count, off_t at, int flags) {
    return pwritev2(fd, pieces, count, at, flags);
}

/* Bytes that pass by the program: what came to lie in the file is read back from it. */
static void note_copied(int fd, uint64_t inode, off_t at, ssize_t bytes, int how) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int source = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    char *to = note(WRITE, how & O_DSYNC ? DURABLE : 0, inode, at, NULL, bytes);
    if (source < 0 || pread(source, to, bytes, at) != bytes)
        refuse("cannot read back what was copied", link);
    close(source);
}

EXPORT ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    struct stat state;
    if (!ours(out, &state))
        return syscall(SYS_copy_file_range, in, from, out, to, size, flags);
    enter();
    off_t at = to ? *to : lseek(out, 0, SEEK_CUR);
    ssize_t done = syscall(SYS_copy_file_range, in, from, out, to, size, flags);
    if (done > 0)
        note_copied(out, state.st_ino, at, done, fcntl(out, F_GETFL));
    leave();
    return done;
}
EXPORT ssize_t sendfile(int out, int in, off_t *from, size_t size) {
    struct stat state;
    if (!ours(out, &state))
        return syscall(SYS_sendfile, out, in, from, size);
    enter();
    fstat(out, &state);
    int how = fcntl(out, F_GETFL);
    off_t at = how & O_APPEND ? state.st_size : lseek(out, 0, SEEK_CUR);
    ssize_t done = syscall(SYS_sendfile, out, in, from, size);
    if (done > 0)
        note_copied(out, state.st_ino, at, done, how);
    leave();
    return done;
}
EXPORT ssize_t sendfile64(int out, int in, off_t *from, size_t size) { return sendfile(out, in, from, size); }

/* Calls that this product does not make on its files, and that a test of it would otherwise not notice. */
#define NOT_EXPECTED(fd, call, otherwise)                                                                              \
    struct stat state;                                                                                                 \
    if (ours(fd, &state) && S_ISREG(state.st_mode))                                                                    \
        refuse("does not know how to record", call);                                                                   \
    return otherwise

EXPORT ssize_t splice(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    NOT_EXPECTED(out, "splice", syscall(SYS_splice, in, from, out, to, size, flags));
}

static int resized(int fd, off_t size) {
    struct stat state;
    if (!ours(fd, &state))
        return syscall(SYS_ftruncate, fd, size);
    enter();
    int failed = syscall(SYS_ftruncate, fd, size);
    if (!failed)
        note(TRUNCATE, 0, state.st_ino, size, NULL, 0);
    leave();
    return failed;
}
EXPORT int ftruncate(int fd, off_t size) { return resized(fd, size); }
EXPORT int ftruncate64(int fd, off_t size) { return resized(fd, size); }

static int resized_by_name(const char *path, off_t size) {
    char whole[2 * PATH_MAX];
    if (!named(AT_FDCWD, path, whole))
        return syscall(SYS_truncate, path, size);
    enter();
    int failed = syscall(SYS_truncate, path, size);
    if (!failed)
        note(TRUNCATE, 0, inode_of(whole), size, NULL, 0);
    leave();
    return failed;
}
EXPORT int truncate(const char *path, off_t size) { return resized_by_name(path, size); }
EXPORT int truncate64(const char *path, off_t size) { return resized_by_name(path, size); }

static int allocated(int fd, int mode, off_t at, off_t size) {
    struct stat state;
    if (!ours(fd, &state))
        return syscall(SYS_fallocate, fd, mode, at, size);
    if (mode & ~FALLOC_FL_KEEP_SIZE)
        refuse("does not know how to record", "fallocate with such a mode");
    enter();
    int failed = syscall(SYS_fallocate, fd, mode, at, size);
    if (!failed && !mode)
        note(ALLOCATE, 0, state.st_ino, at + size, NULL, 0);
    leave();
    return failed;
}
EXPORT int fallocate(int fd, int mode, off_t at, off_t size) { return allocated(fd, mode, at, size); }
EXPORT int fallocate64(int fd, int mode, off_t at, off_t size) { return allocated(fd, mode, at, size); }
EXPORT int posix_fallocate(int fd, off_t at, off_t size) { return allocated(fd, 0, at, size) ? errno : 0; }
EXPORT int posix_fallocate64(int fd, off_t at, off_t size) { return posix_fallocate(fd, at, size); }

static int synced(int fd, int call) {
    struct stat state;
    if (careless)
        return 0;
    if (!ours(fd, &state))
        return syscall(call, fd);
    enter();
    int failed = really_sync ? syscall(call, fd) : 0;
    note(failed ? SYNC_FAILED : SYNC, 0, state.st_ino, 0, NULL, 0);
    leave();
    return failed;
}
EXPORT int fsync(int fd) { return synced(fd, SYS_fsync); }
EXPORT int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static void note_sync_of_all(void) {
    if (head) {
        enter();
        note(SYNC_ALL, 0, 0, 0, NULL, 0);
        leave();
    }
}
EXPORT void sync(void) {
    syscall(SYS_sync);
    note_sync_of_all();
}
EXPORT int syncfs(int fd) {
    int failed = syscall(SYS_syncfs, fd);
    note_sync_of_all();
    return failed;
}

/* sync_file_range(2) promises nothing for a power cut, so it leaves no record and needs no place here. */

EXPORT void *mmap(void *where, size_t size, int protection, int flags, int fd, off_t at) {
    struct stat state;
    if ((flags & MAP_TYPE) != MAP_PRIVATE && (protection & PROT_WRITE) && !(flags & MAP_ANONYMOUS) && ours(fd, &state)) {
        enter();
        note(MAP, 0, state.st_ino, 0, NULL, 0);
        leave();
    }
    return (void *)syscall(SYS_mmap, where, size, protection, flags, fd, at);
}
EXPORT void *mmap64(void *where, size_t size, int protection, int flags, int fd, off_t at) {
    return mmap(where, size, protection, flags, fd, at);
}

