"""lsyncd-lite keeps directories mirrored: inotify in, rsync out."""

__version__ = "0.1.0"
