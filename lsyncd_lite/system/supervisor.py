"""Whom we tell how we are: the service manager that has started us, or nobody.

What only a service manager needs is in notify.py, which an idle daemon without one does not import.
"""


def manager_of(environ, tell):
    """Return a notify.Manager, or Nobody; environ: {bytes: bytes}, tell(words): called when a manager cannot be reached."""
    if not environ.get(b"NOTIFY_SOCKET"):
        return Nobody()
    from lsyncd_lite.system.notify import Manager
    return Manager(environ, tell)


class Nobody:
    """Who does what a notify.Manager does where no service manager is: nothing."""

    due = None
    breathe = None  # what lasts need not call it

    def turn(self, line, now):
        """Nothing is due."""

    def ready(self, line):
        """Nobody waits for the start."""

    def reloading(self):
        """Nor for a reload."""

    def stopping(self, line, number=None):
        """Nor for the end."""

    def hand_over(self, pid):
        """Nobody asks who is the main process."""

    def keep_silent(self):
        """It is silent."""
