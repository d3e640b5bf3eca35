/*
 * Which folders the daemon may still open anything in (Landlock, landlock(7)). What is open stays
 * open. Main thread, while there is no other: the kernel keeps it a thread, and threads inherit it.
 */
#ifndef DAEMON_LANDLOCK_H
#define DAEMON_LANDLOCK_H

enum landlock_use {
    LANDLOCK_READ = 1, /* files below it, and which there are */
    LANDLOCK_SOCKET,   /* unix sockets in it are made and removed */
    LANDLOCK_WRITE,    /* files below it are made, written, read and removed */
};

struct landlock_place {
    const char *path; /* a folder or a file; one that is not there is left out */
    enum landlock_use use;
};

/*
 * From here on, nothing but `places`, which end with a path of NULL. Returns the version of the
 * kernel's interface, over 0; -EOPNOTSUPP or -ENOSYS where the kernel has it not, another -errno:
 * nothing is in force. Needs NO_NEW_PRIVS.
 */
int landlock_enter(const struct landlock_place *places);

#endif
