"""A beep every few seconds while something waits; see beep.ini."""

import os

SECONDS = 5
BEEP = ["printf", "\a"]
directory = None


def on_startup(sync):
    global directory
    directory = sync.source
    beep()


def beep():
    alarm(SECONDS, beep)
    waiting = len(os.listdir(directory))
    if waiting:
        log("Normal", "%d files wait" % waiting)
        return spawn(BEEP)


def on_create(event):
    log("Normal", "%s has arrived" % event.path)
