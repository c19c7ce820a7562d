"""rsync with options of one's own; see own-rsync.ini."""

RSYNC = ["rsync", "--links", "--perms", "--times", "--checksum", "--from0", "--files-from=-", "--ignore-missing-args"]


def on_startup(sync):
    return default.rsync(sync)


def action(inbox):
    paths = [event.path for event in inbox.events() if event.kind != "Delete"]
    if paths:
        return spawn(RSYNC + [inbox.config.source, inbox.config.target], stdin="".join("./%s\0" % path for path in paths))
