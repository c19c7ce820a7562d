"""Previews of pictures; see convert-images.ini."""

import os

PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".webp")


def preview(event):
    """Return where the preview of a picture belongs, or None for what is no picture."""
    name, suffix = os.path.splitext(event.target_pathname)
    return name + ".png" if suffix.lower() in PICTURES and not event.is_dir else None


def on_startup(sync):
    """Make what is missing, or older than its picture."""
    for directory, _names, files in os.walk(sync.source):
        there = os.path.join(sync.target, os.path.relpath(directory, sync.source))
        for file in files:
            name, suffix = os.path.splitext(file)
            if suffix.lower() in PICTURES:
                picture, result = os.path.join(directory, file), os.path.join(there, name + ".png")
                if not os.path.exists(result) or os.path.getmtime(result) < os.path.getmtime(picture):
                    yield from convert(picture, result)


def convert(picture, result):
    """Convert one picture; a broken one is logged, and the old preview stays."""
    os.makedirs(os.path.dirname(result), exist_ok=True)
    aside = os.path.join(os.path.dirname(result), ".new-" + os.path.basename(result))
    status = yield shell('if convert "$1[0]" -resize "800x800>" "PNG:$2"; then mv -T "$2" "$3"; else rm -f "$2"; fi',
                         picture, aside, result)
    return status and "again"


def on_create(event):
    if preview(event):
        yield from convert(event.source_pathname, preview(event))


on_modify = on_create


def on_delete(event):
    if event.is_dir:
        return spawn(["rm", "-rf", "--", event.target_pathname])
    if preview(event):
        return spawn(["rm", "-f", "--", preview(event)])
