/* Records, in one order for all processes, everything that changes the files of one directory.
 *
 *     RECORDER_ROOT=/dir RECORDER_LOG=/log LD_PRELOAD=recorder.so program
 *
 * A change and its record are made under one lock that all processes share (in the mapping of the log), so that the log's
 * order is the order in which things happened. The lock serialises what programs do to the directory, and so hides nothing:
 * a sync is recorded after the writes that it covers and before those it does not.
 *
 * Files are known by inode, found anew at each call from /proc/self/fd, so that it does not matter how a process came by a
 * descriptor. Calls that fail leave no record, but for syncs. Unless RECORDER_SYNC is set, a sync is recorded and not carried out.
 *
 * RECORDER_CARELESS alone, and nothing is recorded nor synced: for those who look at many directories that nobody keeps.
 *
 * Programs find the rest by dlsym: recorder_mark puts a word of theirs into the log; recorder_kill ends a process while it is
 * doing none of this. What goes to the kernel past libc's functions is not seen: tests/faults/test_recorder.py compares the
 * log with strace's. tests/faults/recording.py reads the log.
 */
#include "recorder.h"
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>

struct head *head;
char root[PATH_MAX];
size_t root_bytes;
int really_sync, careless;

void refuse(const char *why, const char *what) {
    dprintf(2, "recorder: %s: %s\n", why, what);
    abort();
}

__attribute__((constructor)) static void begin(void) {
    careless = getenv("RECORDER_CARELESS") != NULL;
    const char *directory = getenv("RECORDER_ROOT"), *log = getenv("RECORDER_LOG");
    if (!directory || !log)
        return;
    if (!realpath(directory, root))
        refuse("no such directory", directory);
    root_bytes = strlen(root);
    really_sync = getenv("RECORDER_SYNC") != NULL;
    int fd = syscall(SYS_openat, AT_FDCWD, log, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX))
        refuse("cannot open the log", log);
    struct stat state;
    fstat(fd, &state);
    int fresh = state.st_size == 0;
    if (fresh && syscall(SYS_ftruncate, fd, CAPACITY))
        refuse("cannot size the log", log);
    void *mapped = (void *)syscall(SYS_mmap, NULL, CAPACITY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (mapped == MAP_FAILED)
        refuse("cannot map the log", log);
    head = mapped;
    if (fresh) {
        pthread_mutexattr_t shared;
        pthread_mutexattr_init(&shared);
        pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&shared, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(&head->lock, &shared);
        head->end = HEAD_BYTES;
        note(MKDIR, 0, inode_of(root), 0, NULL, 0);
    }
    flock(fd, LOCK_UN);
    close(fd);
}

void enter(void) {
    if (pthread_mutex_lock(&head->lock) == EOWNERDEAD)
        pthread_mutex_consistent(&head->lock);
}

void leave(void) {
    int saved = errno;
    pthread_mutex_unlock(&head->lock);
    errno = saved;
}

char *note(enum kind kind, int flags, uint64_t inode, uint64_t at, const char *name, uint64_t bytes) {
    struct record record = {kind, flags, getpid(), name ? strlen(name) : 0, inode, at, bytes};
    uint64_t whole = sizeof record + record.name_bytes + bytes;
    if (head->end + whole > CAPACITY)
        refuse("the log is full", root);
    char *to = (char *)head + head->end;
    memcpy(to, &record, sizeof record);
    memcpy(to + sizeof record, name, record.name_bytes);
    head->end += whole;
    return to + sizeof record + record.name_bytes;
}

static int within(const char *path) {
    return !strncmp(path, root, root_bytes) && (path[root_bytes] == '/' || !path[root_bytes]);
}

int ours(int fd, struct stat *state) {
    if (!head || fd < 0)
        return 0;
    int saved = errno, found = 0;
    char link[40], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = 0;
        found = within(path) && !fstat(fd, state);
    }
    errno = saved;
    return found;
}

const char *named(int at, const char *path, char *whole) {
    if (!head || !path)
        return NULL;
    int saved = errno;
    char given[2 * PATH_MAX], parent[PATH_MAX];
    given[0] = 0;
    if (path[0] != '/') {
        char link[40];
        if (at == AT_FDCWD)
            strcpy(link, "/proc/self/cwd");
        else
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t length = readlink(link, given, PATH_MAX - 2);
        given[length > 0 ? length : 0] = 0;
        strcat(given, "/");
    }
    strncat(given, path, PATH_MAX - 2);
    for (size_t end = strlen(given); end > 1 && given[end - 1] == '/'; end--)
        given[end - 1] = 0;
    char *last = strrchr(given, '/');
    *last = 0;
    const char *found = NULL;
    if (realpath(given[0] ? given : "/", parent)) {
        snprintf(whole, 2 * PATH_MAX, "%s/%s", strcmp(parent, "/") ? parent : "", last + 1);
        if (within(whole) && whole[root_bytes])
            found = whole + root_bytes + 1;
    }
    errno = saved;
    return found;
}

uint64_t inode_of(const char *whole) {
    struct stat state;
    int saved = errno;
    uint64_t inode = lstat(whole, &state) ? 0 : state.st_ino;
    errno = saved;
    return inode;
}

/* ---- for programs ---- */

EXPORT void recorder_mark(const char *word, size_t bytes) {
    enter();
    memcpy(note(MARK, 0, 0, 0, NULL, bytes), word, bytes);
    leave();
}

/* SIGKILL, and wait for the end, while nobody is between a change and its record. 0, or -1. */
EXPORT int recorder_kill(int pid) {
    int end = syscall(SYS_pidfd_open, pid, 0);
    if (end < 0)
        return -1;
    enter();
    int failed = kill(pid, SIGKILL);
    struct pollfd ended = {end, POLLIN, 0};
    while (!failed && poll(&ended, 1, -1) < 1)
        ;
    leave();
    close(end);
    return failed;
}
