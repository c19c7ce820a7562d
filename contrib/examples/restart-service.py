"""A service that reloads its configuration; see restart-service.ini."""

CHECK = ["nginx", "-t"]
RELOAD = ["systemctl", "reload", "nginx"]


def action(inbox):
    changed = inbox.events()
    if (yield spawn(CHECK)) != 0:
        log("Error", "not reloaded: the check fails after a change of %s" % ", ".join(event.path for event in changed))
        return
    if (yield spawn(RELOAD)) != 0:
        return "again"
    log("Normal", "reloaded after %d changes" % len(changed))
