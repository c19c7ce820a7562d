"""Upload to a bucket; see s3-upload.ini."""

import os

AWS = ["aws", "s3"]
MANY = 50  # files that are worth a full comparison


def compare(source, target):
    """Upload what differs and delete what is gone."""
    return (yield spawn(AWS + ["sync", "--delete", "--only-show-errors", source, target]))


def on_startup(sync):
    if (yield from compare(sync.source, sync.target)):
        return "again"


def action(inbox):
    events = inbox.events()
    if len(events) > MANY or any(event.is_dir and event.kind == "Delete" for event in events):
        if (yield from compare(inbox.config.source, inbox.config.target)):
            return "again"
        return
    for event in events:
        key = event.target_path
        if event.is_dir:
            continue
        if event.kind == "Delete":
            status = yield spawn(AWS + ["rm", "--only-show-errors", key])
        elif os.path.isfile(event.source_path):  # it may be gone by now, which is an event of its own
            status = yield spawn(AWS + ["cp", "--only-show-errors", event.source_path, key])
        else:
            continue
        if status:
            return "again"
