"""Upload by curl; see ftp-upload.ini."""

import os
from urllib.parse import quote

CURL = ["curl", "--silent", "--show-error", "--netrc-optional", "--connect-timeout", "30"]


def carried(event):
    """Tell whether FTP can carry a name: its commands end at a line end."""
    fits = not set("\r\n") & set(event.path)
    if not fits:
        log("Error", "cannot upload %r" % event.path)
    return fits


def on_create(event):
    if not event.is_dir and os.path.isfile(event.source_path) and carried(event):
        status = yield spawn(CURL + ["--ftp-create-dirs", "--upload-file", event.source_path,
                                     event.target + quote(os.fsencode(event.path))])
        return "again" if status else None


on_modify = on_create


def on_delete(event):
    if carried(event):
        path = event.target.partition("://")[2].partition("/")[2] + event.pathname
        server = event.target[:event.target.index("/", 6) + 1]
        # the asterisk: a failure is no error, as what is not there any more need not be deleted
        yield spawn(CURL + ["--quote", "*%s /%s" % ("RMD" if event.is_dir else "DELE", path), server, "--output", "/dev/null"])
