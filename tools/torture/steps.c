/* Stand before every step that changes a disk: count it, end the process before it, let it fail, or write it down.
 *
 * Loaded with LD_PRELOAD by tools/torture. A step is a write, truncation, fsync, rename, removal, new file or new folder
 * whose path lies below `prefix`; it is counted in the process that `torture_arm` was called in.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ONCE, FROM_THEN_ON, GONE }; /* GONE: from then on what is below cannot be opened to read either */

static char prefix[PATH_MAX];
static long at = -1, seen = 0; /* the step that is hit, from 0; those so far */
static int error = 0;          /* what it fails with; 0 ends the process with SIGKILL */
static int manner = ONCE;
static int notes = -1;  /* a descriptor that every step is named on, -1 none */
static int record = -1; /* a descriptor that every step is written to with its bytes, -1 none */
static pid_t owner = 0;
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

void torture_arm(const char *below, long step, int with, int how, int names, int recorded) {
    strncpy(prefix, below, sizeof prefix - 1);
    at = step, seen = 0, error = with, manner = how, notes = names, record = recorded, owner = getpid();
}

static ssize_t real_write(int handle, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    return real(handle, data, size);
}

static int is_below(const char *path) { return owner == getpid() && !strncmp(path, prefix, strlen(prefix)); }

/* Return whether the step is to fail. */
static int step(const char *what, const char *path) {
    if (!is_below(path)) return 0;
    long number = __sync_fetch_and_add(&seen, 1);
    if (notes >= 0) dprintf(notes, "%s %s\n", what, path + strlen(prefix));
    if (at < 0 || (manner == ONCE ? number != at : number < at)) return 0;
    if (!error) kill(getpid(), SIGKILL);
    errno = error;
    return 1;
}

/* Return whether a path below cannot be read any more. */
static int is_gone(const char *path) {
    if (manner != GONE || at < 0 || seen <= at || !is_below(path)) return 0;
    errno = error;
    return 1;
}

static int path_of(int handle, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return length > 0;
}

static int whole_path(int folder, const char *name, char *path) {
    if (name[0] == '/') {
        strncpy(path, name, PATH_MAX - 1);
        return 1;
    }
    if (folder == AT_FDCWD ? !getcwd(path, PATH_MAX) : !path_of(folder, path)) return 0;
    strncat(strcat(path, "/"), name, PATH_MAX - 1);
    return 1;
}

static int of_handle(const char *what, int handle) {
    char path[PATH_MAX];
    if (owner != getpid() || handle == notes || handle == record) return 0;
    return path_of(handle, path) && step(what, path);
}

static int of_path(const char *what, int folder, const char *name) {
    char path[2 * PATH_MAX];
    return owner == getpid() && whole_path(folder, name, path) && step(what, path);
}

/* Write a step down: kind, inode, place, size, path and second path, separated by tabs; then the bytes. */
static void keep(const char *kind, ino_t inode, long place, long size, const char *a, const char *b, const void *data) {
    int before = errno;
    pthread_mutex_lock(&one);
    dprintf(record, "%s\t%lu\t%ld\t%ld\t%s\t%s\n", kind, (unsigned long)inode, place, size, a, b);
    if (data)
        for (long done = 0; done < size;) done += real_write(record, (const char *)data + done, size - done);
    pthread_mutex_unlock(&one);
    errno = before;
}

static void keep_handle(const char *kind, int handle, long place, long size, const void *data) {
    char path[PATH_MAX];
    struct stat facts;
    if (record < 0 || owner != getpid() || handle == record || handle == notes) return;
    if (path_of(handle, path) && is_below(path) && !fstat(handle, &facts)) {
        if (place < 0) place = lseek(handle, 0, SEEK_CUR) - size;
        keep(kind, facts.st_ino, place, size, "", "", data);
    }
}

static void keep_paths(const char *kind, int a, const char *from, int b, const char *to) {
    char first[2 * PATH_MAX], second[2 * PATH_MAX];
    struct stat facts;
    if (record < 0 || owner != getpid() || !whole_path(a, from, first) || !whole_path(b, to, second)) return;
    if (!is_below(second)) return;
    if (stat(second, &facts)) facts.st_ino = 0;
    keep(kind, facts.st_ino, 0, 0, first, second, NULL);
}

#define REAL(kind, name, ...) \
    static kind (*real)(__VA_ARGS__); \
    if (!real) real = (kind (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define HANDLE_STEP(kind, name, declared, given, after, ...) \
    kind name declared { \
        REAL(kind, name, __VA_ARGS__); \
        if (of_handle(#name, handle)) return -1; \
        kind done = real given; \
        if (done >= 0) after; \
        return done; \
    }
HANDLE_STEP(ssize_t, write, (int handle, const void *data, size_t size), (handle, data, size), keep_handle("write", handle, -1, done, data), int, const void *, size_t)
HANDLE_STEP(ssize_t, pwrite, (int handle, const void *data, size_t size, off_t place), (handle, data, size, place), keep_handle("write", handle, place, done, data), int, const void *, size_t, off_t)
HANDLE_STEP(ssize_t, pwrite64, (int handle, const void *data, size_t size, off64_t place), (handle, data, size, place), keep_handle("write", handle, place, done, data), int, const void *, size_t, off64_t)
HANDLE_STEP(int, ftruncate, (int handle, off_t size), (handle, size), keep_handle("truncate", handle, 0, size, NULL), int, off_t)
HANDLE_STEP(int, ftruncate64, (int handle, off64_t size), (handle, size), keep_handle("truncate", handle, 0, size, NULL), int, off64_t)
HANDLE_STEP(int, fsync, (int handle), (handle), keep_handle("fsync", handle, 0, 0, NULL), int)
HANDLE_STEP(int, fdatasync, (int handle), (handle), keep_handle("fsync", handle, 0, 0, NULL), int)

ssize_t writev(int handle, const struct iovec *parts, int count) {
    REAL(ssize_t, writev, int, const struct iovec *, int);
    if (of_handle("writev", handle)) return -1;
    ssize_t done = real(handle, parts, count), left = done;
    for (int part = 0; part < count && left > 0; part++) { /* the place is that after all of them */
        ssize_t size = left < (ssize_t)parts[part].iov_len ? left : (ssize_t)parts[part].iov_len;
        keep_handle("write", handle, lseek(handle, 0, SEEK_CUR) - left, size, parts[part].iov_base);
        left -= size;
    }
    return done;
}

void sync(void) {
    REAL(void, sync, void);
    real();
    if (record >= 0 && owner == getpid()) keep("sync", 0, 0, 0, "", "", NULL);
}

/* Copies within the kernel are refused, so that Python writes them itself. */
ssize_t sendfile(int out, int in, off_t *place, size_t size) {
    REAL(ssize_t, sendfile, int, int, off_t *, size_t);
    if (owner == getpid()) return errno = EINVAL, -1;
    return real(out, in, place, size);
}

int posix_fallocate(int handle, off_t place, off_t size) {
    REAL(int, posix_fallocate, int, off_t, off_t);
    if (of_handle("posix_fallocate", handle)) return errno;
    int fault = real(handle, place, size);
    if (!fault) keep_handle("allocate", handle, 0, place + size, NULL);
    return fault;
}
int posix_fallocate64(int handle, off64_t place, off64_t size) { return posix_fallocate(handle, place, size); }

#define PATH_STEP(name, declared, given, kind, a, from, folder, path, ...) \
    int name declared { \
        REAL(int, name, __VA_ARGS__); \
        if (of_path(#name, folder, path)) return -1; \
        int done = real given; \
        if (!done) keep_paths(kind, a, from, folder, path); \
        return done; \
    }
PATH_STEP(rename, (const char *from, const char *to), (from, to), "rename", AT_FDCWD, from, AT_FDCWD, to, const char *, const char *)
PATH_STEP(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), "rename", a, from, b, to, int, const char *, int, const char *)
PATH_STEP(unlink, (const char *path), (path), "remove", AT_FDCWD, path, AT_FDCWD, path, const char *)
PATH_STEP(unlinkat, (int folder, const char *path, int flags), (folder, path, flags), "remove", folder, path, folder, path, int, const char *, int)
PATH_STEP(rmdir, (const char *path), (path), "remove", AT_FDCWD, path, AT_FDCWD, path, const char *)
PATH_STEP(mkdir, (const char *path, mode_t mode), (path, mode), "folder", AT_FDCWD, path, AT_FDCWD, path, const char *, mode_t)
PATH_STEP(mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode), "folder", folder, path, folder, path, int, const char *, mode_t)

/* Opening counts only where it makes or empties a file. */
#define OPEN_STEP(name, declared, folder, path, flags, given, ...) \
    int name declared { \
        REAL(int, name, __VA_ARGS__, ...); \
        mode_t mode = 0; \
        char place[2 * PATH_MAX]; \
        if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
        if (owner != getpid() || !whole_path(folder, path, place)) return real given; \
        if (flags & (O_CREAT | O_TRUNC) ? step("open", place) : is_gone(place)) return -1; \
        int is_new = flags & O_CREAT && access(place, F_OK); \
        int handle = real given; \
        if (handle >= 0 && is_new) keep_paths("file", folder, path, folder, path); \
        if (handle >= 0 && !is_new && flags & O_TRUNC) keep_handle("truncate", handle, 0, 0, NULL); \
        return handle; \
    }
OPEN_STEP(open, (const char *path, int flags, ...), AT_FDCWD, path, flags, (path, flags, mode), const char *, int)
OPEN_STEP(open64, (const char *path, int flags, ...), AT_FDCWD, path, flags, (path, flags, mode), const char *, int)
OPEN_STEP(openat, (int folder, const char *path, int flags, ...), folder, path, flags, (folder, path, flags, mode), int, const char *, int)
OPEN_STEP(openat64, (int folder, const char *path, int flags, ...), folder, path, flags, (folder, path, flags, mode), int, const char *, int)
