/* What the parts of the recorder share; log.c says what it is. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define CAPACITY (8ULL << 30) /* of the log, which is sparse */
#define HEAD_BYTES 4096

enum kind { WRITE = 1, TRUNCATE, ALLOCATE, SYNC, CREATE, MKDIR, LINK, UNLINK, RMDIR, RENAME, MAP, MARK, OTHER, SYNC_ALL, SYNC_FAILED };
enum { DURABLE = 1 };

struct head {
    pthread_mutex_t lock;
    uint64_t end;
};

struct record {
    uint32_t kind, flags, pid, name_bytes;
    uint64_t inode, at, data_bytes;
}; /* followed by the name, then by the data */

extern struct head *head; /* NULL where nothing is recorded */
extern char root[PATH_MAX];
extern size_t root_bytes;
extern int really_sync, careless;

void refuse(const char *why, const char *what);
void enter(void);
void leave(void);

/* Room for `bytes` of data behind a new record, which the caller fills before `leave`. */
char *note(enum kind kind, int flags, uint64_t inode, uint64_t at, const char *name, uint64_t bytes);

/* Whether the descriptor is of a file or directory below the root; leaves errno alone. */
int ours(int fd, struct stat *state);

/* The name below the root that a path leads to, its last component not followed; NULL where it lies elsewhere. */
const char *named(int at, const char *path, char *whole);

/* 0 where there is nothing of that name. */
uint64_t inode_of(const char *whole);
