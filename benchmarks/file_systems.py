"""What file systems of other kinds answer, as C to be preloaded: for machines that cannot mount one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

LIBRARIES: Final = {
    "no locks": """
#include <errno.h>
int flock(int fd, int operation) { errno = ENOLCK; return -1; }
""",
    # An exclusive lock is for who may write, and one of a directory is for nobody but this machine, so: nobody at all.
    "locks as NFS": """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
int flock(int fd, int operation) {
    struct stat found;
    if (!fstat(fd, &found) && S_ISDIR(found.st_mode)) return 0;
    if (operation & LOCK_EX && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) { errno = EBADF; return -1; }
    return ((int (*)(int, int)) dlsym(RTLD_NEXT, "flock"))(fd, operation);
}
""",
    # A write is taken; where there is a file REFUSED, only its first bytes are kept of a segment, and a close says so.
    "refuses later": """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int close(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    const char *refused = getenv("REFUSED");
    int segment = length > 6 && !memcmp(path + length - 6, ".jsonl", 6), kept = 0;
    FILE *file = segment && refused ? fopen(refused, "r") : NULL;
    if (file) {
        segment = fscanf(file, "%d", &kept) == 1 && !ftruncate(fd, kept);
        fclose(file);
    }
    int done = ((int (*)(int)) dlsym(RTLD_NEXT, "close"))(fd);
    if (!file || !segment) return done;
    errno = EDQUOT;
    return -1;
}
""",
}


def library(name: str, folder: Path) -> Path:
    """Compiles one of the `LIBRARIES` into a folder. Raises `CalledProcessError`."""
    source, made = folder / "preload.c", folder / "preload.so"
    source.write_text(LIBRARIES[name])
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(made), str(source), "-ldl"], check=True)
    return made
