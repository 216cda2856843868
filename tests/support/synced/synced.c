/*
 * Preloaded into a redis-server: notes, in the file that FANFARE_SYNCED names,
 * how much of its append-only file is on the disk for certain. The size is
 * taken before each sync, as what is written during one may not be part of it,
 * and noted before Redis answers anyone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_append_only_file(int fd) {
  static const char ending[] = ".incr.aof";
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path);
  ssize_t tail = sizeof ending - 1;
  return length > tail && memcmp(path + length - tail, ending, tail) == 0;
}

int fdatasync(int fd) {
  int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  struct stat before;
  int known = fstat(fd, &before) == 0;
  int result = sync(fd);
  const char *name = getenv("FANFARE_SYNCED");
  if (result != 0 || !known || name == NULL || !is_append_only_file(fd)) return result;
  int note = open(name, O_WRONLY | O_CREAT, 0600);
  int64_t bytes = before.st_size;
  if (note >= 0) {
    if (pwrite(note, &bytes, sizeof bytes, 0) != sizeof bytes) abort();
    close(note);
  }
  return result;
}
